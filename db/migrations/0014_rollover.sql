-- The roll-over from one issuing CA to the next, and the root's own revocation list.
--
-- Expand only.

SELECT 1;

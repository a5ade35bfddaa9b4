-- Routes: what they filter by groups, and how much may wait.
--
-- Expand only.

SELECT 1;

-- The broker's gate: what plans and findings need.
--
-- Expand only.

SELECT 1;

-- Billing: what operators and customers see of it.
--
-- Expand only.

SELECT 1;

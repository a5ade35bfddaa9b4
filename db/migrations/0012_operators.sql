-- What operators see of deliveries and jobs, and a tenant's own export before it is deleted.
--
-- Expand only.

SELECT 1;

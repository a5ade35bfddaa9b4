-- An expired device's rescue, a device's transfer between tenants, and who was warned of what expires.
--
-- Expand only.

SELECT 1;

-- Ingest: monthly limits and what survives faults.
--
-- Expand only.

SELECT 1;

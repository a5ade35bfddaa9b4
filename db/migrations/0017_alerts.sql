-- Alerts on readings: rules, what is raised, who acknowledged it.
--
-- Expand only.

SELECT 1;

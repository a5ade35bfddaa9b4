-- Fleet enrolment: claims, hardware ids, holds for approval, and bulk imports.
--
-- Expand only.

SELECT 1;

-- What operators see of work that later migrations brought: imports that run, deliveries that found no room.
--
-- Expand only.

SET LOCAL ROLE pulse_owner;

-- How far imports are: no name, hardware id or line of them.
GRANT SELECT (tenant_id, import_id, state, received_bytes, read_bytes, created_devices, refused_rows, created_at, finished_at)
   ON device_imports TO pulse_operator_read;
GRANT SELECT (dropped, dropped_at) ON routes TO pulse_operator_read;
GRANT SELECT (group_ids, dropped, dropped_at) ON routes TO pulse_operator_data;

RESET ROLE;

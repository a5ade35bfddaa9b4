-- Routes: what they filter by groups, what found no room in a backlog, where the audit log's feed to each one stands, what
-- an ordered route put aside, and whose turn it is among delivery_worker's replicas.
--
-- Expand only.

SET LOCAL ROLE pulse_owner;

-- No foreign key: a group that is deleted must not turn "this group" into "every device".
ALTER TABLE routes
    ADD COLUMN group_ids       uuid[]      NOT NULL DEFAULT '{}' CHECK (cardinality(group_ids) <= 50),
    -- Messages that were not placed, because as many waited as may.
    ADD COLUMN dropped         bigint      NOT NULL DEFAULT 0,
    ADD COLUMN dropped_at      timestamptz,
    ADD COLUMN dropped_told_at timestamptz;

-- The last row of the audit log that was placed for a route, in the order in which the log is sealed.
CREATE TABLE route_audit_cursors (
    tenant_id uuid        NOT NULL REFERENCES tenants,
    route_id  uuid        NOT NULL,
    xid       xid8        NOT NULL,
    at        timestamptz NOT NULL,
    audit_id  uuid        NOT NULL,
    PRIMARY KEY (tenant_id, route_id),
    FOREIGN KEY (tenant_id, route_id) REFERENCES routes ON DELETE CASCADE
);
ALTER TABLE route_audit_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE route_audit_cursors FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON route_audit_cursors TO pulse_app
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON route_audit_cursors TO pulse_app;

-- What an ordered route put aside: a message that failed, and what came after it from the same device.  ``position`` is
-- their order; the first of each device is sent when it is due.
CREATE TABLE delivery_held (
    tenant_id     uuid        NOT NULL REFERENCES tenants,
    route_id      uuid        NOT NULL,
    delivery_id   text        NOT NULL CHECK (length(delivery_id) <= 100),
    device_id     uuid,
    position      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    attempts      integer     NOT NULL,
    due_at        timestamptz NOT NULL,
    -- Until when one replica sends it.
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    message       text        NOT NULL,
    PRIMARY KEY (tenant_id, route_id, delivery_id),
    FOREIGN KEY (tenant_id, route_id) REFERENCES routes ON DELETE CASCADE
);
ALTER TABLE delivery_held ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_held FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON delivery_held TO pulse_app
    USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
    WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery_held TO pulse_app;
-- Which lanes have something put aside; not what it says.
CREATE POLICY delivery_lanes ON delivery_held FOR SELECT TO pulse_delivery USING (true);
GRANT SELECT (tenant_id, route_id) ON delivery_held TO pulse_delivery;

-- What one replica does at a time, and until when it is its turn.
CREATE TABLE delivery_turns (
    name   text        NOT NULL PRIMARY KEY CHECK (length(name) <= 50),
    holder uuid        NOT NULL,
    until  timestamptz NOT NULL
);
ALTER TABLE delivery_turns ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_turns FORCE ROW LEVEL SECURITY;
CREATE POLICY delivery_turn ON delivery_turns TO pulse_delivery USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON delivery_turns TO pulse_delivery;

-- Which tenants have routes, and of which kinds: what is done for one of them is done as that tenant, under pulse_app.
CREATE POLICY delivery_tenants ON routes FOR SELECT TO pulse_delivery USING (true);
GRANT SELECT (tenant_id, event_types) ON routes TO pulse_delivery;

RESET ROLE;

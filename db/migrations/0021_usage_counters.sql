-- Messages are counted as they are stored, in their transaction: to count a day's readings again and again takes longer
-- the more there are of them, until nothing is counted any more.
--
-- Expand only: ingest_worker first, then billing_webhooks, whose former release still counts anew what the former
-- ingest_worker stores.

SET LOCAL ROLE pulse_owner;

GRANT INSERT (tenant_id, metric, day, amount), UPDATE (amount) ON billing_usage TO pulse_ingest;
CREATE POLICY ingest_count ON billing_usage FOR INSERT TO pulse_ingest WITH CHECK (metric = 'messages');
CREATE POLICY ingest_add ON billing_usage FOR UPDATE TO pulse_ingest
    USING (metric = 'messages') WITH CHECK (metric = 'messages');

COMMENT ON TABLE billing_usage IS
    'Messages by the day of their time (UTC), added by ingest_worker with what it stores; device-months, counted by billing.';

RESET ROLE;

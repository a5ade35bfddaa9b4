-- Billing: an event of Stripe's is claimed, its tenant locked and what is held read, in one statement; and what Stripe
-- would not meter is remembered, so that it does not stand in the way of what it would.
--
-- Expand only.

SET LOCAL ROLE pulse_owner;

-- Each statement of a VOLATILE function sees what was committed when it began: what is read after the lock is at least as
-- new as what its last holder wrote.  One plain statement could not do this: it would read as of its own beginning,
-- before it waited for the lock.  The lock is taken after the row: the other way round two deliveries of one event would
-- wait for each other.  No row: the event was handled before (or is being, and the wait for its row is over).
CREATE FUNCTION claim_stripe_event(
    event_id text, event_type text, livemode boolean, created_at timestamptz, object_id text, customer_id text,
    tenant_id uuid, source text, subscription_id text
) RETURNS TABLE (
    customer text, status text, price_ids text[], plan_id text, quantity bigint, cancel_at_period_end boolean,
    current_period_end timestamptz, trial_end timestamptz, unpaid_since timestamptz
)
    LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
    INSERT INTO public.stripe_events (event_id, event_type, livemode, created_at, object_id, customer_id,
                                      home_tenant_id, source)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('pulse.billing.' || $7::text, 0));
    RETURN QUERY
        SELECT c.customer_id, s.status, s.price_ids, s.plan_id, s.quantity, s.cancel_at_period_end,
               s.current_period_end, s.trial_end, s.unpaid_since
          FROM (SELECT $7 AS tenant_id) t
          LEFT JOIN public.billing_customers c ON c.tenant_id = t.tenant_id
          LEFT JOIN public.billing_subscriptions s ON s.tenant_id = t.tenant_id AND s.subscription_id = $9;
END
$$;
REVOKE ALL ON FUNCTION claim_stripe_event(text, text, boolean, timestamptz, text, text, uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_stripe_event(text, text, boolean, timestamptz, text, text, uuid, text, text)
    TO pulse_billing;

ALTER TABLE billing_meter_events ADD COLUMN refused_at timestamptz;

-- Which devices have sent in a month: by their newest reading, since the readings of a month are too many.
GRANT SELECT (tenant_id, device_id, ts) ON device_last_state TO pulse_billing;
CREATE POLICY billing_count ON device_last_state FOR SELECT TO pulse_billing USING (true);

RESET ROLE;

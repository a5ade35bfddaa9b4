-- An expired device's rescue, a device's transfer between tenants, and who is told of what by e-mail.
--
-- Expand only.

SET LOCAL ROLE pulse_owner;

-- Besides devices and issuers: revocation lists that nobody renews, and the edge's and the broker's own certificates.
ALTER TABLE expiry_warnings
    DROP CONSTRAINT expiry_warnings_kind_check,
    ADD CONSTRAINT expiry_warnings_kind_check CHECK (kind IN ('device', 'issuer', 'list', 'server')),
    -- What the platform's own is called on the operators' page; a device has its name.
    ADD COLUMN subject_name text CHECK (length(subject_name) BETWEEN 1 AND 300);

-- Rescue: an administrator lets one device, whose certificate has expired, have the next one for the same key, for a time.
CREATE TABLE device_rescues (
    tenant_id      uuid        NOT NULL,
    rescue_id      uuid        NOT NULL,
    device_id      uuid        NOT NULL,
    -- The one that has expired: the approval is for this one alone.
    certificate_id uuid        NOT NULL,
    status         text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'used', 'closed')),
    opened_at      timestamptz NOT NULL,
    opened_by      text        NOT NULL,
    ends_at        timestamptz NOT NULL CHECK (ends_at > opened_at AND ends_at <= opened_at + interval '7 days'),
    used_at        timestamptz,
    PRIMARY KEY (tenant_id, rescue_id),
    CHECK ((status = 'used') = (used_at IS NOT NULL)),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX device_rescues_open ON device_rescues (tenant_id, device_id) WHERE status = 'open';

-- What was given away stays for its history alone, and counts in nobody's plan.
ALTER TABLE devices ADD COLUMN given_away boolean NOT NULL DEFAULT false;
GRANT SELECT (given_away) ON devices TO pulse_billing;

-- Transfer, the giving side.  `offered_to` need not exist: an offer tells nobody who is there.
CREATE TABLE device_transfers (
    tenant_id   uuid        NOT NULL,
    transfer_id uuid        NOT NULL,
    device_id   uuid        NOT NULL,
    offered_to  uuid        NOT NULL CHECK (offered_to <> tenant_id),
    status      text        NOT NULL DEFAULT 'offered'
                            CHECK (status IN ('offered', 'accepted', 'declined', 'withdrawn', 'expired')),
    offered_at  timestamptz NOT NULL,
    offered_by  text        NOT NULL,
    expires_at  timestamptz NOT NULL,
    decided_at  timestamptz,
    PRIMARY KEY (tenant_id, transfer_id),
    CHECK ((status = 'offered') = (decided_at IS NULL)),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX device_transfers_open ON device_transfers (tenant_id, device_id) WHERE status = 'offered';

-- Transfer, the taking side: what the giver let out, and the device that it became, under an id that the giver never sees.
CREATE TABLE device_arrivals (
    tenant_id    uuid        NOT NULL,
    transfer_id  uuid        NOT NULL,
    from_tenant  uuid        NOT NULL,
    from_name    text        NOT NULL,
    device_name  text        NOT NULL,
    status       text        NOT NULL DEFAULT 'offered'
                             CHECK (status IN ('offered', 'accepted', 'declined', 'withdrawn', 'expired')),
    offered_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    decided_at   timestamptz,
    decided_by   text,
    device_id    uuid,
    PRIMARY KEY (tenant_id, transfer_id),
    CHECK ((status = 'accepted') = (device_id IS NOT NULL)),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
);
CREATE INDEX device_arrivals_by_device ON device_arrivals (tenant_id, device_id);

-- What people are to be told by e-mail.  The key lets no second one in; whoever mails claims the row before and marks it
-- after.  The platform's tenant has some too, which are for operators.
CREATE TABLE notices (
    tenant_id        uuid        NOT NULL,
    notice_id        uuid        NOT NULL,
    topic            text        NOT NULL CHECK (topic ~ '^[a-z][a-z_]{0,29}$'),
    notice_key       text        NOT NULL CHECK (length(notice_key) BETWEEN 1 AND 200),
    title            text        NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    body             text        NOT NULL CHECK (length(body) <= 4000),
    path             text        NOT NULL CHECK (path LIKE '/%'),
    recipients       text[]      NOT NULL DEFAULT '{}' CHECK (cardinality(recipients) <= 50),
    patience_seconds integer     NOT NULL CHECK (patience_seconds >= 0),
    raised_at        timestamptz NOT NULL,
    claimed_until    timestamptz,
    -- Claims of whose outcome nobody wrote: whoever claimed may have died after the mail had gone.
    unsure           smallint    NOT NULL DEFAULT 0,
    -- Addresses that have it, while others still wait.
    told_to          text[]      NOT NULL DEFAULT '{}',
    told_at          timestamptz,
    PRIMARY KEY (tenant_id, notice_id),
    UNIQUE (tenant_id, topic, notice_key)
);
CREATE INDEX notices_waiting ON notices (tenant_id, raised_at) WHERE told_at IS NULL;
CREATE INDEX notices_told ON notices (tenant_id, told_at) WHERE told_at IS NOT NULL;

-- Who wants no more mails about a topic.
CREATE TABLE notice_refusals (
    tenant_id  uuid        NOT NULL,
    address    text        NOT NULL CHECK (length(address) BETWEEN 3 AND 320 AND address = lower(address)),
    topic      text        NOT NULL CHECK (topic ~ '^[a-z][a-z_]{0,29}$'),
    refused_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, address, topic)
);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['device_rescues', 'device_transfers', 'device_arrivals', 'notices', 'notice_refusals']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format($policy$
            CREATE POLICY tenant_isolation ON %I TO pulse_app
                USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
                WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)
        $policy$, t);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE (status, used_at) ON device_rescues TO pulse_app;
GRANT SELECT, INSERT, UPDATE (status, decided_at) ON device_transfers TO pulse_app;
-- What arrives is let in by the giver's side alone, through the function below.
GRANT SELECT, UPDATE (status, decided_at, decided_by, device_id) ON device_arrivals TO pulse_app;
GRANT SELECT ON notices TO pulse_app;
GRANT SELECT, INSERT, DELETE ON notice_refusals TO pulse_app;
GRANT SELECT, INSERT, DELETE,
      UPDATE (claimed_until, unsure, told_to, told_at) ON notices TO pulse_notices;
CREATE POLICY notices_mail ON notices TO pulse_notices USING (true) WITH CHECK (true);

-- The one way from a tenant to another: what a transfer that a tenant has just changed means for the other side.  The
-- giver's: the offer is shown, withdrawn or expired there.  The taker's: the giver's row says what was decided, and of an
-- accepted device nothing is left that counts: it is disabled, its tokens are void, and events say so.  History stays.
CREATE FUNCTION carry_transfer(wanted uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here    uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    offer   record;
    arrival record;
    carried boolean;
BEGIN
    -- provision_api has judged who asks; no other service's login has any business here.
    IF session_user <> 'svc_provision_api' OR here IS NULL THEN
        RAISE EXCEPTION 'only provision_api carries a transfer, for a tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- pulse_owner is held by FORCE like anybody else, and is a member of pulse_app: it sees one tenant at a time.
    SELECT d.*, v.name AS device_name, t.name AS from_name INTO offer
      FROM public.device_transfers d
      JOIN public.devices v ON v.tenant_id = d.tenant_id AND v.device_id = d.device_id
      JOIN public.tenants t ON t.tenant_id = d.tenant_id
     WHERE d.tenant_id = here AND d.transfer_id = wanted;
    IF FOUND THEN
        IF offer.status NOT IN ('offered', 'withdrawn', 'expired') THEN
            RAISE EXCEPTION 'the taker decides that' USING ERRCODE = 'insufficient_privilege';
        END IF;
        PERFORM set_config('app.tenant_id', offer.offered_to::text, true);
        INSERT INTO public.device_arrivals (tenant_id, transfer_id, from_tenant, from_name, device_name, status, offered_at,
                                            expires_at, decided_at)
        SELECT t.tenant_id, wanted, here, offer.from_name, offer.device_name, offer.status, offer.offered_at,
               offer.expires_at, offer.decided_at
          FROM public.tenants t
         WHERE t.tenant_id = offer.offered_to AND t.status = 'active'
        ON CONFLICT (tenant_id, transfer_id) DO UPDATE
           SET status = excluded.status, decided_at = excluded.decided_at
         WHERE device_arrivals.status = 'offered' AND device_arrivals.from_tenant = here;
        carried := FOUND;
    ELSE
        SELECT a.* INTO arrival FROM public.device_arrivals a
         WHERE a.tenant_id = here AND a.transfer_id = wanted AND a.status IN ('accepted', 'declined');
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is nothing to carry' USING ERRCODE = 'insufficient_privilege';
        END IF;
        PERFORM set_config('app.tenant_id', arrival.from_tenant::text, true);
        UPDATE public.device_transfers d
           SET status = arrival.status, decided_at = arrival.decided_at
         WHERE d.tenant_id = arrival.from_tenant AND d.transfer_id = wanted AND d.offered_to = here
           AND d.status = 'offered' AND d.expires_at > now()
           AND EXISTS (SELECT FROM public.devices v
                        WHERE v.tenant_id = d.tenant_id AND v.device_id = d.device_id AND v.status = 'active')
        RETURNING d.* INTO offer;
        carried := FOUND;
        IF carried AND arrival.status = 'accepted' THEN
            UPDATE public.devices SET status = 'disabled', given_away = true, version = version + 1
             WHERE tenant_id = offer.tenant_id AND device_id = offer.device_id;
            UPDATE public.enrolment_tokens SET expires_at = least(expires_at, now())
             WHERE tenant_id = offer.tenant_id AND device_id = offer.device_id AND used_at IS NULL;
            UPDATE public.device_tokens SET revoked_at = now()
             WHERE tenant_id = offer.tenant_id AND device_id = offer.device_id AND revoked_at IS NULL;
            UPDATE public.device_rescues SET status = 'closed'
             WHERE tenant_id = offer.tenant_id AND device_id = offer.device_id AND status = 'open';
            INSERT INTO public.outbox (tenant_id, event_id, subject, payload)
            SELECT offer.tenant_id, gen_random_uuid(), subject,
                   jsonb_build_object('tenant_id', offer.tenant_id, 'device_id', offer.device_id, 'at', now())
              FROM unnest(ARRAY['pulse.events.device.disabled', 'pulse.events.device.transferred']) AS subject;
        END IF;
        IF carried THEN
            INSERT INTO public.audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id,
                                          outcome, details)
            VALUES (offer.tenant_id, gen_random_uuid(), 'service', 'provision_api',
                    CASE arrival.status WHEN 'accepted' THEN 'device.transfer_accept' ELSE 'device.transfer_decline' END,
                    'device', offer.device_id::text, 'success',
                    jsonb_build_object('transfer_id', wanted, 'device_id', offer.device_id, 'offered_to', here));
        END IF;
    END IF;
    PERFORM set_config('app.tenant_id', here::text, true);
    RETURN carried;
END
$$;
REVOKE ALL ON FUNCTION carry_transfer(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION carry_transfer(uuid) TO pulse_app;
COMMENT ON FUNCTION carry_transfer(uuid) IS
    'SECURITY DEFINER: tells the other tenant of one transfer what this one decided, for provision_api alone; no policy lets a tenant reach another''s row';

RESET ROLE;

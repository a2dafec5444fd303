-- Billing: thresholds that were told, periods that are closed, credits, customers and subscriptions, and reports on their way to
-- billing systems. No foreign key leads to a tenant: what is billed outlives it.

-- Which thresholds were told: each once.
CREATE TABLE tenancy.billing_thresholds (
    tenant_id uuid NOT NULL,
    period timestamptz NOT NULL,
    meter text NOT NULL CHECK (octet_length(meter) BETWEEN 1 AND 255),
    percent smallint NOT NULL CHECK (percent BETWEEN 0 AND 255),
    told_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, period, meter, percent)
);

-- Periods that are closed, with the invoice as it was billed.
CREATE TABLE tenancy.billing_invoices (
    tenant_id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL CHECK (period_end > period_start),
    id text NOT NULL UNIQUE,
    invoice jsonb NOT NULL CHECK (jsonb_typeof(invoice) = 'object'),
    closed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, period_start)
);

-- Entries of ledgers: they are added, and never changed.
CREATE TABLE tenancy.billing_credits (
    tenant_id uuid NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    entry jsonb NOT NULL CHECK (jsonb_typeof(entry) = 'object'),
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, number)
);

-- Whose a customer at a billing system is.
CREATE TABLE tenancy.billing_customers (
    provider text NOT NULL CHECK (octet_length(provider) BETWEEN 1 AND 255),
    customer text NOT NULL CHECK (octet_length(customer) BETWEEN 1 AND 255),
    tenant_id uuid NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    bound_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, customer)
);
CREATE INDEX billing_customers_tenant ON tenancy.billing_customers (tenant_id, provider, number);

-- What was heard of a subscription, all from which its state follows, and what was told of it last.
CREATE TABLE tenancy.billing_subscriptions (
    provider text NOT NULL CHECK (octet_length(provider) BETWEEN 1 AND 255),
    subscription text NOT NULL CHECK (octet_length(subscription) BETWEEN 1 AND 255),
    tenant_id uuid NOT NULL,
    heard jsonb NOT NULL CHECK (jsonb_typeof(heard) = 'array'),
    state text NOT NULL,
    plan text,
    -- When the state changes by the time alone.
    changes_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, subscription)
);
CREATE INDEX billing_subscriptions_tenant ON tenancy.billing_subscriptions (tenant_id);
CREATE INDEX billing_subscriptions_changes ON tenancy.billing_subscriptions (changes_at) WHERE changes_at IS NOT NULL;

-- Reports to billing systems.
CREATE TABLE tenancy.billing_reports (
    provider text NOT NULL CHECK (octet_length(provider) BETWEEN 1 AND 255),
    id text NOT NULL CHECK (octet_length(id) BETWEEN 1 AND 255),
    tenant_id uuid NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    customer text NOT NULL,
    meter text NOT NULL,
    quantity numeric NOT NULL,
    at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'taken', 'stuck')),
    why text CHECK (octet_length(why) <= 4096),
    sent_first timestamptz,
    held_until timestamptz,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, id)
);
CREATE INDEX billing_reports_due ON tenancy.billing_reports (provider, number) WHERE state = 'due';
CREATE INDEX billing_reports_stuck ON tenancy.billing_reports (provider, number) WHERE state = 'stuck';
CREATE INDEX billing_reports_tenant ON tenancy.billing_reports (tenant_id);

-- A moment as programs write it.
CREATE FUNCTION tenancy.billing_moment(at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- Has whoever changes the ledger, the periods or the subscriptions of a tenant do it one after the other, until the transaction ends.
CREATE FUNCTION tenancy.lock_billing(of_tenant uuid) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT pg_advisory_xact_lock(hashtextextended('tenancy.billing ' || lock_billing.of_tenant::text, 0));
    END;

-- Remembers thresholds, and tells those that are new: the places of these, from 1. In one order, so that two never wait for each
-- other.
CREATE FUNCTION tenancy.cross_thresholds(tenants uuid[], meters text[], periods timestamptz[], percents smallint[])
    RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH k AS MATERIALIZED (
        SELECT u.tenant_id, u.meter, u.period, u.percent, min(u.place) AS place
        FROM unnest(tenants, meters, periods, percents) WITH ORDINALITY AS u (tenant_id, meter, period, percent, place)
        GROUP BY u.tenant_id, u.meter, u.period, u.percent
    ), c AS (
        INSERT INTO tenancy.billing_thresholds AS t (tenant_id, meter, period, percent)
        SELECT k.tenant_id, k.meter, k.period, k.percent FROM k
        ORDER BY k.tenant_id, k.period, k.meter, k.percent
        ON CONFLICT DO NOTHING
        RETURNING t.tenant_id, t.meter, t.period, t.percent
    ), n AS MATERIALIZED (
        SELECT k.* FROM k JOIN c ON c.tenant_id = k.tenant_id AND c.meter = k.meter AND c.period = k.period
            AND c.percent = k.percent
    ), o AS (
        INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload)
        SELECT gen_random_uuid(), n.tenant_id, 'usage.threshold-crossed', jsonb_build_object('meter', n.meter,
            'percent', n.percent, 'period_starts_at', tenancy.billing_moment(n.period))
        FROM n ORDER BY n.place
    )
    SELECT n.place FROM n ORDER BY n.place;
END
$$;

-- The invoices of a tenant whose periods have time in common with this one, or, where `after` is given, begin after it.
CREATE FUNCTION tenancy.list_invoices(of_tenant uuid, since timestamptz, until timestamptz, after timestamptz, most integer)
    RETURNS SETOF tenancy.billing_invoices
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT i.* FROM tenancy.billing_invoices AS i
        WHERE i.tenant_id = list_invoices.of_tenant
            AND (list_invoices.since IS NULL OR i.period_end > list_invoices.since)
            AND (list_invoices.until IS NULL OR i.period_start < list_invoices.until)
            AND (list_invoices.after IS NULL OR i.period_start > list_invoices.after)
        ORDER BY i.period_start LIMIT list_invoices.most;
    END;

-- The invoice of the period of a tenant that begins at a moment.
CREATE FUNCTION tenancy.find_invoice(of_tenant uuid, start timestamptz) RETURNS SETOF tenancy.billing_invoices
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT i.* FROM tenancy.billing_invoices AS i
        WHERE i.tenant_id = find_invoice.of_tenant AND i.period_start = find_invoice.start;
    END;

-- Closes a period, and tells. A period that is closed already is a unique violation.
CREATE FUNCTION tenancy.close_period(of_tenant uuid, since timestamptz, until timestamptz, id text, invoice jsonb,
    closed_at timestamptz
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM tenancy.lock_billing(of_tenant);
    IF EXISTS (SELECT FROM tenancy.billing_invoices AS i WHERE i.tenant_id = of_tenant
        AND i.period_end > close_period.since AND i.period_start < close_period.until)
    THEN
        RAISE EXCEPTION 'the period has time in common with one that is closed' USING ERRCODE = 'unique_violation';
    END IF;
    INSERT INTO tenancy.billing_invoices (tenant_id, period_start, period_end, id, invoice, closed_at)
    VALUES (of_tenant, close_period.since, close_period.until, close_period.id, close_period.invoice, close_period.closed_at);
    INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload)
    VALUES (gen_random_uuid(), of_tenant, 'billing.period-closed', jsonb_build_object('invoice', close_period.id,
        'period_starts_at', tenancy.billing_moment(close_period.since),
        'period_ends_at', tenancy.billing_moment(close_period.until),
        'currency', close_period.invoice ->> 'currency', 'total', close_period.invoice ->> 'total'));
END
$$;

-- The entries of a tenant's ledger, in their order.
CREATE FUNCTION tenancy.list_credits(of_tenant uuid) RETURNS SETOF tenancy.billing_credits
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.* FROM tenancy.billing_credits AS c WHERE c.tenant_id = list_credits.of_tenant ORDER BY c.number;
    END;

-- Adds an entry to a ledger, under its number, which is a unique violation if it is there. `told` is the entry of the trail that says
-- who did it and why, where somebody did.
CREATE FUNCTION tenancy.add_credit(of_tenant uuid, number bigint, entry jsonb, told jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO tenancy.billing_credits (tenant_id, number, entry)
    VALUES (of_tenant, add_credit.number, add_credit.entry);
    IF told IS NOT NULL THEN
        PERFORM tenancy.tell_usage(of_tenant, 'billing.grant', told, jsonb_build_object(
            'amount', add_credit.entry ->> 'amount', 'unit', add_credit.entry -> 'unit'));
    END IF;
END
$$;

-- Binds a customer to a tenant: 0 it is now, 1 it was, 2 it is another tenant's.
CREATE FUNCTION tenancy.bind_customer(of_tenant uuid, provider text, customer text) RETURNS smallint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO tenancy.billing_customers (provider, customer, tenant_id)
    VALUES (bind_customer.provider, bind_customer.customer, of_tenant)
    ON CONFLICT ON CONSTRAINT billing_customers_pkey DO NOTHING;
    IF FOUND THEN
        RETURN 0;
    END IF;
    RETURN CASE WHEN EXISTS (SELECT FROM tenancy.billing_customers AS c WHERE c.provider = bind_customer.provider
        AND c.customer = bind_customer.customer AND c.tenant_id = of_tenant) THEN 1 ELSE 2 END;
END
$$;

-- Whose a customer is.
CREATE FUNCTION tenancy.find_customer_tenant(provider text, customer text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.tenant_id FROM tenancy.billing_customers AS c
        WHERE c.provider = find_customer_tenant.provider AND c.customer = find_customer_tenant.customer;
    END;

-- The customer that a tenant is: the one that was bound last.
CREATE FUNCTION tenancy.find_customer(of_tenant uuid, provider text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.customer FROM tenancy.billing_customers AS c
        WHERE c.tenant_id = find_customer.of_tenant AND c.provider = find_customer.provider
        ORDER BY c.number DESC LIMIT 1;
    END;

-- A subscription.
CREATE FUNCTION tenancy.find_subscription(provider text, subscription text) RETURNS SETOF tenancy.billing_subscriptions
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT s.* FROM tenancy.billing_subscriptions AS s
        WHERE s.provider = find_subscription.provider AND s.subscription = find_subscription.subscription;
    END;

-- The subscriptions of a tenant.
CREATE FUNCTION tenancy.list_subscriptions(of_tenant uuid) RETURNS SETOF tenancy.billing_subscriptions
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT s.* FROM tenancy.billing_subscriptions AS s WHERE s.tenant_id = list_subscriptions.of_tenant
        ORDER BY s.provider, s.subscription;
    END;

-- Subscriptions whose state has changed by the time alone.
CREATE FUNCTION tenancy.list_changed_subscriptions(now timestamptz, most integer)
    RETURNS SETOF tenancy.billing_subscriptions
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT s.* FROM tenancy.billing_subscriptions AS s WHERE s.changes_at <= list_changed_subscriptions.now
        ORDER BY s.changes_at LIMIT list_changed_subscriptions.most;
    END;

-- Keeps what was heard of a subscription, and tells if its state or its plan is another than was told last: whether it was.
CREATE FUNCTION tenancy.keep_subscription(of_tenant uuid, provider text, subscription text, customer text, heard jsonb,
    state text, plan text, changes_at timestamptz
) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known tenancy.billing_subscriptions;
BEGIN
    PERFORM tenancy.lock_billing(of_tenant);
    SELECT * INTO known FROM tenancy.billing_subscriptions AS s
    WHERE s.provider = keep_subscription.provider AND s.subscription = keep_subscription.subscription;
    IF known.tenant_id <> of_tenant THEN
        RAISE EXCEPTION 'the subscription is of another tenant' USING ERRCODE = 'unique_violation';
    END IF;
    IF known.tenant_id IS NULL THEN
        INSERT INTO tenancy.billing_subscriptions (provider, subscription, tenant_id, heard, state, plan, changes_at)
        VALUES (keep_subscription.provider, keep_subscription.subscription, of_tenant, keep_subscription.heard,
            keep_subscription.state, keep_subscription.plan, keep_subscription.changes_at);
    ELSE
        UPDATE tenancy.billing_subscriptions AS s SET heard = keep_subscription.heard, state = keep_subscription.state,
            plan = keep_subscription.plan, changes_at = keep_subscription.changes_at, changed_at = clock_timestamp()
        WHERE s.provider = keep_subscription.provider AND s.subscription = keep_subscription.subscription;
    END IF;
    IF (known.state, known.plan) IS NOT DISTINCT FROM (keep_subscription.state, keep_subscription.plan) THEN
        RETURN false;
    END IF;
    INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload)
    VALUES (gen_random_uuid(), of_tenant, 'billing.subscription-changed', jsonb_strip_nulls(jsonb_build_object(
        'provider', keep_subscription.provider, 'subscription', keep_subscription.subscription,
        'customer', keep_subscription.customer, 'state', keep_subscription.state, 'plan', keep_subscription.plan,
        'state_before', known.state, 'plan_before', known.plan)));
    RETURN true;
END
$$;

-- Queues reports: 0 it is now, 1 it was, 2 another one has its id, 3 its customer is not the tenant's.
CREATE FUNCTION tenancy.queue_reports(of_tenant uuid, of_provider text, ids text[], customers text[], meters text[],
    quantities numeric[], ats timestamptz[]
) RETURNS smallint[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    report record;
    outcomes smallint[] := '{}';
BEGIN
    -- So that two batches of one tenant never wait for each other.
    PERFORM tenancy.lock_billing(of_tenant);
    FOR report IN
        SELECT u.* FROM unnest(ids, customers, meters, quantities, ats) WITH ORDINALITY
            AS u (id, customer, meter, quantity, at, place)
        ORDER BY u.place
    LOOP
        IF NOT EXISTS (SELECT FROM tenancy.billing_customers AS c WHERE c.provider = of_provider
            AND c.customer = report.customer AND c.tenant_id = of_tenant)
        THEN
            outcomes := outcomes || 3::smallint;
            CONTINUE;
        END IF;
        INSERT INTO tenancy.billing_reports (provider, id, tenant_id, customer, meter, quantity, at)
        VALUES (of_provider, report.id, of_tenant, report.customer, report.meter, report.quantity, report.at)
        ON CONFLICT ON CONSTRAINT billing_reports_pkey DO NOTHING;
        IF FOUND THEN
            outcomes := outcomes || 0::smallint;
        ELSE
            outcomes := outcomes || (SELECT CASE WHEN (r.tenant_id, r.customer, r.meter, r.quantity, r.at)
                = (of_tenant, report.customer, report.meter, report.quantity, report.at) THEN 1 ELSE 2 END::smallint
                FROM tenancy.billing_reports AS r WHERE r.provider = of_provider AND r.id = report.id);
        END IF;
    END LOOP;
    RETURN outcomes;
END
$$;

-- Tells that a report is stuck.
CREATE FUNCTION tenancy.tell_stuck_report(of_tenant uuid, of_provider text, of_id text, of_meter text, of_reason text)
    RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload)
        VALUES (gen_random_uuid(), of_tenant, 'billing.report-refused', jsonb_build_object('provider', of_provider,
            'id', of_id, 'meter', of_meter, 'why', of_reason));
    END;

-- Takes reports that are due, and holds them. Those that were sent first before a moment are stuck.
CREATE FUNCTION tenancy.take_reports(of_provider text, most integer, now timestamptz, until timestamptz,
    forgotten_before timestamptz, forgotten text
) RETURNS SETOF tenancy.billing_reports
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    report tenancy.billing_reports;
BEGIN
    FOR report IN
        SELECT r.* FROM tenancy.billing_reports AS r
        WHERE r.provider = of_provider AND r.state = 'due' AND r.sent_first <= forgotten_before
            AND r.held_until <= take_reports.now
        ORDER BY r.number LIMIT 1000 FOR UPDATE SKIP LOCKED
    LOOP
        UPDATE tenancy.billing_reports AS r SET state = 'stuck', why = forgotten WHERE r.number = report.number;
        PERFORM tenancy.tell_stuck_report(report.tenant_id, report.provider, report.id, report.meter, forgotten);
    END LOOP;
    RETURN QUERY
    WITH d AS MATERIALIZED (
        SELECT r.number FROM tenancy.billing_reports AS r
        WHERE r.provider = of_provider AND r.state = 'due'
            AND (r.held_until IS NULL OR r.held_until <= take_reports.now)
            AND (r.sent_first IS NULL OR r.sent_first > forgotten_before)
        ORDER BY r.number LIMIT most FOR UPDATE SKIP LOCKED
    ), t AS (
        UPDATE tenancy.billing_reports AS r SET sent_first = coalesce(r.sent_first, take_reports.now),
            held_until = take_reports.until
        FROM d WHERE r.number = d.number
        RETURNING r.*
    )
    SELECT t.* FROM t ORDER BY t.number;
END
$$;

-- Keeps what a billing system has answered: where there is a reason, it has refused.
CREATE FUNCTION tenancy.settle_reports(of_provider text, ids text[], reasons text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer record;
    settled tenancy.billing_reports;
BEGIN
    FOR answer IN SELECT u.id, left(u.reason, 1000) AS reason FROM unnest(ids, reasons) AS u (id, reason) ORDER BY u.id
    LOOP
        UPDATE tenancy.billing_reports AS r
        SET state = CASE WHEN answer.reason IS NULL THEN 'taken' ELSE 'stuck' END, why = answer.reason
        WHERE r.provider = of_provider AND r.id = answer.id AND r.state <> 'taken'
        RETURNING r.* INTO settled;
        IF FOUND AND answer.reason IS NOT NULL THEN
            PERFORM tenancy.tell_stuck_report(settled.tenant_id, settled.provider, settled.id, settled.meter, settled.why);
        END IF;
    END LOOP;
END
$$;

-- Reports that wait for somebody to look.
CREATE FUNCTION tenancy.list_stuck_reports(of_provider text, most integer) RETURNS SETOF tenancy.billing_reports
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r.* FROM tenancy.billing_reports AS r
        WHERE r.provider = list_stuck_reports.of_provider AND r.state = 'stuck'
        ORDER BY r.number LIMIT list_stuck_reports.most;
    END;

-- Makes a report that is stuck due again, as if it had not been sent; whether there was one.
CREATE FUNCTION tenancy.requeue_report(of_provider text, of_id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE tenancy.billing_reports AS r SET state = 'due', why = NULL, sent_first = NULL, held_until = NULL
    WHERE r.provider = of_provider AND r.id = of_id AND r.state = 'stuck';
    RETURN FOUND;
END
$$;

REVOKE ALL ON FUNCTION
    tenancy.billing_moment(timestamptz), tenancy.lock_billing(uuid),
    tenancy.cross_thresholds(uuid[], text[], timestamptz[], smallint[]),
    tenancy.list_invoices(uuid, timestamptz, timestamptz, timestamptz, integer), tenancy.find_invoice(uuid, timestamptz),
    tenancy.close_period(uuid, timestamptz, timestamptz, text, jsonb, timestamptz), tenancy.list_credits(uuid),
    tenancy.add_credit(uuid, bigint, jsonb, jsonb), tenancy.bind_customer(uuid, text, text),
    tenancy.find_customer_tenant(text, text), tenancy.find_customer(uuid, text), tenancy.find_subscription(text, text),
    tenancy.list_subscriptions(uuid), tenancy.list_changed_subscriptions(timestamptz, integer),
    tenancy.keep_subscription(uuid, text, text, text, jsonb, text, text, timestamptz),
    tenancy.queue_reports(uuid, text, text[], text[], text[], numeric[], timestamptz[]),
    tenancy.tell_stuck_report(uuid, text, text, text, text),
    tenancy.take_reports(text, integer, timestamptz, timestamptz, timestamptz, text),
    tenancy.settle_reports(text, text[], text[]), tenancy.list_stuck_reports(text, integer),
    tenancy.requeue_report(text, text)
FROM PUBLIC;

-- What programs need from here on: billing that is kept.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 21;

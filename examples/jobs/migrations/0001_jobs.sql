CREATE TABLE mails (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    recipient text NOT NULL,
    body text NOT NULL,
    claimed_at timestamptz,
    sent_at timestamptz
);
-- What waits, the oldest first: a worker looks at this index across tenants.
CREATE INDEX mails_waiting ON mails (claimed_at NULLS FIRST, id) WHERE sent_at IS NULL;

CREATE TABLE drafts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    body text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE reports (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    text text NOT NULL
);
SELECT tenancy.protect_all('mails', 'drafts', 'reports');

-- Where a job that goes through all tenants goes on. It is no tenant's, and the login of operators writes it.
CREATE TABLE job_positions (job text PRIMARY KEY, position uuid NOT NULL);
COMMENT ON TABLE job_positions IS '[tenancy: not for tenants] Where jobs go on that were stopped.';

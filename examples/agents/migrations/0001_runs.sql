CREATE TABLE runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    task text NOT NULL,
    -- Who has asked, as the service has verified it: `user:…` or `key:…`.
    started_by text NOT NULL,
    -- With whose rights: the person, or whoever issued the key.
    on_behalf_of uuid NOT NULL,
    -- Whom the agent app says it asks for. A label for its owner; the service knows nobody by it.
    end_user text,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'done', 'refused')),
    result text,
    created_at timestamptz NOT NULL DEFAULT now()
);
SELECT tenancy.protect('runs');

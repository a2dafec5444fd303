-- Accounts of the whole service: no tenant's, so that these tables are not protected. The service's login for
-- tenants has no privilege on them. The login `pages_accounts`, which `install` makes, sees nothing else.
CREATE TABLE accounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE CHECK (email = lower(email) AND email LIKE '%_@_%'),
    name text NOT NULL CHECK (name <> ''),
    password_hash text NOT NULL,
    -- When its owner has shown that mails to this address arrive.
    confirmed_at timestamptz,
    -- How many links for that were made. Only the newest works, for a day.
    links integer NOT NULL DEFAULT 0,
    link_made_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- The hash of a password is made anew where its cost has grown.
GRANT SELECT, INSERT, UPDATE (password_hash, confirmed_at, links, link_made_at) ON accounts TO pages_accounts;

-- Sessions of `pages-axum`. The key is a hash of what the cookie says, so that a copy of the table signs nobody in.
CREATE TABLE sessions (
    id bytea PRIMARY KEY,
    data jsonb NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_expires ON sessions (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO pages_accounts;

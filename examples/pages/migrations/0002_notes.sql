CREATE TABLE notes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    title text NOT NULL CHECK (title <> ''),
    body text NOT NULL DEFAULT '',
    published boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
SELECT tenancy.protect('notes');

-- Whoever has the link may join once. The link's token is 32 random bytes, and here is its hash.
CREATE TABLE invitations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_hash bytea NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'member')),
    invited_by uuid NOT NULL,
    expires_at timestamptz NOT NULL DEFAULT now() + interval '7 days',
    accepted_by uuid,
    accepted_at timestamptz,
    UNIQUE (token_hash)
);
SELECT tenancy.protect('invitations');

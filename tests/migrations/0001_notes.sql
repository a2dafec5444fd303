CREATE TABLE notebooks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    title text NOT NULL UNIQUE
);
SELECT tenancy.protect('notebooks');

CREATE TABLE notes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    notebook_id uuid,
    body text NOT NULL,
    stars integer NOT NULL DEFAULT 0,
    tenant_id uuid NOT NULL,
    FOREIGN KEY (tenant_id, notebook_id) REFERENCES notebooks (tenant_id, id)
        ON DELETE SET NULL (notebook_id)
);
SELECT tenancy.protect('notes');

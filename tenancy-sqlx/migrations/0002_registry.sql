-- The registry: tenants, what names them, who belongs to them.

CREATE TABLE tenancy.tenants (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name text NOT NULL,
    status text NOT NULL CHECK (status IN
        ('provisioning', 'active', 'past-due', 'suspended', 'pending-deletion', 'deleted')),
    plan text,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    status_changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tenancy.domains (
    domain text PRIMARY KEY CHECK (domain = lower(domain)),
    tenant_id uuid NOT NULL REFERENCES tenancy.tenants (id),
    bound_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX domains_tenant ON tenancy.domains (tenant_id);

CREATE TABLE tenancy.external_ids (
    provider text NOT NULL,
    external_id text NOT NULL,
    tenant_id uuid NOT NULL REFERENCES tenancy.tenants (id),
    PRIMARY KEY (provider, external_id)
);
CREATE INDEX external_ids_tenant ON tenancy.external_ids (tenant_id);

CREATE TABLE tenancy.memberships (
    tenant_id uuid NOT NULL REFERENCES tenancy.tenants (id),
    user_id uuid NOT NULL,
    role text NOT NULL,
    status text NOT NULL CHECK (status IN ('invited', 'active', 'suspended')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX memberships_user ON tenancy.memberships (user_id);

CREATE TABLE tenancy.roles (
    tenant_id uuid NOT NULL REFERENCES tenancy.tenants (id),
    name text NOT NULL,
    definition jsonb NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

CREATE TABLE tenancy.projects (
    tenant_id uuid NOT NULL REFERENCES tenancy.tenants (id),
    id uuid NOT NULL UNIQUE,
    slug text NOT NULL,
    name text NOT NULL,
    archived boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, slug)
);

CREATE TABLE tenancy.project_memberships (
    tenant_id uuid NOT NULL,
    project_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (tenant_id, project_id, user_id),
    FOREIGN KEY (tenant_id, project_id) REFERENCES tenancy.projects (tenant_id, id)
);

-- What was done by whom. Nobody but the owner changes or removes an entry.
CREATE TABLE tenancy.audit_log (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    tenant_id uuid,
    actor text,
    action text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('allowed', 'refused', 'failed')),
    reason text,
    target text,
    ip inet,
    user_agent text,
    suppressed bigint NOT NULL DEFAULT 0
);
CREATE INDEX audit_log_tenant ON tenancy.audit_log (tenant_id, id);

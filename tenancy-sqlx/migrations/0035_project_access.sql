-- Who may enter a project: every member of its tenant, or who has a role in it.

-- Every project that is there stays open to members, so there is nothing to check and nothing to rewrite.
ALTER TABLE tenancy.projects
    ADD COLUMN access text NOT NULL DEFAULT 'members',
    ADD CONSTRAINT projects_access CHECK (access IN ('members', 'role-only')) NOT VALID;

-- What programs need from here on: the column `access` of projects.
CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 14;

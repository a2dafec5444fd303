-- A guard for the owner too: views and SECURITY DEFINER functions read as their owner, and the
-- service's login may use them.

-- Whether the session itself acts as the owner of this schema, as a migration does. A view or a
-- SECURITY DEFINER function changes neither of the two names that are looked at: `session_user`, who
-- logged in, and the setting `role`, whom the session chose to be (`none`: who logged in).
CREATE FUNCTION tenancy.acts_as_owner() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT pg_has_role(session_user, n.nspowner, 'MEMBER')
            AND pg_has_role(CASE current_setting('role') WHEN 'none' THEN session_user
                ELSE current_setting('role')::name END, n.nspowner, 'MEMBER')
        FROM pg_namespace AS n WHERE n.nspname = 'tenancy';
    END;

-- What the owner sees, as a range: every tenant where the session acts as the owner, else the one
-- that is set, else nothing. A range and not `acts_as_owner() OR …`, because an index can serve it.
CREATE FUNCTION tenancy.first_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN tenancy.acts_as_owner() THEN '00000000-0000-0000-0000-000000000000'::uuid
        ELSE tenancy.current_tenant() END;

CREATE FUNCTION tenancy.last_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN tenancy.acts_as_owner() THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
        ELSE tenancy.current_tenant() END;

CREATE FUNCTION tenancy.first_project() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN tenancy.acts_as_owner() THEN '00000000-0000-0000-0000-000000000000'::uuid
        ELSE tenancy.current_project() END;

CREATE FUNCTION tenancy.last_project() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN tenancy.acts_as_owner() THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
        ELSE tenancy.current_project() END;

-- The one column that a policy of ours speaks of. Policies remember columns by number, so that a
-- column that was renamed is found, in a restored database too.
CREATE FUNCTION tenancy.policy_column(target oid, policies name[]) RETURNS name
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT min(a.attname) FROM (
            SELECT DISTINCT d.refobjsubid FROM pg_policy AS p
            JOIN pg_depend AS d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                AND d.refclassid = 'pg_class'::regclass AND d.refobjid = p.polrelid
                AND d.refobjsubid > 0
            WHERE p.polrelid = target AND p.polname = ANY (policies)
        ) AS c
        JOIN pg_attribute AS a ON a.attrelid = target AND a.attnum = c.refobjsubid
        HAVING count(*) = 1;
    END;

-- The columns by which a protected table is kept apart: the tenant's, and the project's if it has
-- one. Empty for a table that is not protected.
CREATE FUNCTION tenancy.scope_columns(target oid) RETURNS name[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN array_remove(ARRAY[
        tenancy.policy_column(target, '{tenancy_allow,tenancy_guard,tenancy_owner_guard}'),
        tenancy.policy_column(target, '{tenancy_project,tenancy_owner_project}')
    ]::name[], NULL);

-- The policies of a table. PERMISSIVE lets a role at rows; RESTRICTIVE makes a careless PERMISSIVE
-- policy that somebody adds later harmless, for the app role and for the owner. The subselects are
-- evaluated once per statement, not once per row. The system role sees all.
CREATE FUNCTION tenancy.ensure_policies(target regclass, tenant_column name, project_column name)
    RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner name := tenancy.role_name('owner');
    app name := tenancy.role_name('app');
    own text := format('%I = (SELECT tenancy.current_tenant())', tenant_column);
    seen text := format('%1$I >= (SELECT tenancy.first_tenant()) AND %1$I <= '
        '(SELECT tenancy.last_tenant())', tenant_column);
BEGIN
    PERFORM tenancy.ensure_policy(target, 'tenancy_allow', true, app, own);
    PERFORM tenancy.ensure_policy(target, 'tenancy_guard', false, app, own);
    PERFORM tenancy.ensure_policy(target, 'tenancy_owner', true, owner, 'true');
    PERFORM tenancy.ensure_policy(target, 'tenancy_owner_guard', false, owner, seen);
    PERFORM tenancy.ensure_policy(target, 'tenancy_system', true, tenancy.role_name('system'), 'true');
    IF project_column IS NOT NULL THEN
        PERFORM tenancy.ensure_policy(target, 'tenancy_project', false, app,
            format('%I = (SELECT tenancy.current_project())', project_column));
        PERFORM tenancy.ensure_policy(target, 'tenancy_owner_project', false, owner,
            format('%1$I >= (SELECT tenancy.first_project()) AND %1$I <= '
                '(SELECT tenancy.last_project())', project_column));
    END IF;
END
$$;

-- As before, for `protect` of an earlier migration.
CREATE OR REPLACE FUNCTION tenancy.ensure_policies(target regclass, tenant_column name) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT tenancy.ensure_policies(target, tenant_column, NULL);
    END;

-- Says by example what the policies of a protected table read like on this server: a check compares
-- what it finds with these. Holds no rows.
CREATE TABLE tenancy.protected_example (tenant_id uuid NOT NULL, project_id uuid NOT NULL);

REVOKE ALL ON FUNCTION
    tenancy.acts_as_owner(),
    tenancy.first_tenant(), tenancy.last_tenant(),
    tenancy.first_project(), tenancy.last_project(),
    tenancy.policy_column(oid, name[]), tenancy.scope_columns(oid),
    tenancy.ensure_policies(regclass, name, name)
FROM PUBLIC;

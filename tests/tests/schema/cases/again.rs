//! Protecting again never widens, never gives a table to another tenant, and many may do it at once.

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_tests::notes::{on_every_server, sqlstate};

use super::as_tenant;
use crate::{as_owner, refusal, told};

#[tokio::test]
async fn d7_what_was_revoked_stays_revoked_in_partitions_of_later_too() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE ledger (n int) PARTITION BY RANGE (n);
             CREATE TABLE ledger_1 PARTITION OF ledger FOR VALUES FROM (0) TO (5);
             SELECT tenancy.protect('ledger');
             REVOKE UPDATE, DELETE ON ledger, ledger_1 FROM tenancy_app;
             SELECT tenancy.protect('ledger');
             CREATE TABLE ledger_2 PARTITION OF ledger FOR VALUES FROM (5) TO (9);
             SELECT tenancy.protect('ledger')",
        )
        .await?;
        as_tenant(
            notes,
            &notes.acme,
            "INSERT INTO ledger VALUES (1), (6) RETURNING 'x'",
        )
        .await?;
        for table in ["ledger", "ledger_1", "ledger_2"] {
            let rows = as_tenant(notes, &notes.acme, &format!("SELECT 'x' FROM {table}")).await?;
            assert!(!rows.is_empty(), "{table}");
            for sql in ["DELETE FROM", "UPDATE"] {
                let sql = match sql {
                    "UPDATE" => format!("UPDATE {table} SET n = n RETURNING 'x'"),
                    _ => format!("DELETE FROM {table} RETURNING 'x'"),
                };
                assert_eq!(
                    sqlstate(as_tenant(notes, &notes.acme, &sql).await),
                    "42501",
                    "{sql}"
                );
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d7_column_grants_in_the_place_of_a_tables_stay() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "REVOKE UPDATE ON notes FROM tenancy_app; GRANT UPDATE (body) ON notes TO tenancy_app;
             SELECT tenancy.protect('notes')",
        )
        .await?;
        as_tenant(
            notes,
            &notes.acme,
            "UPDATE notes SET body = 'x' RETURNING 'x'",
        )
        .await?;
        let refused = as_tenant(
            notes,
            &notes.acme,
            "UPDATE notes SET stars = 1 RETURNING 'x'",
        )
        .await;
        assert_eq!(sqlstate(refused), "42501");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d8_a_protected_table_keeps_its_tenant_column_by_whatever_name() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE t (tenant_id uuid, partner uuid); SELECT tenancy.protect('t');
             CREATE TABLE o (tenant_id uuid, org_id uuid); SELECT tenancy.protect('o', 'org_id')",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('t', 'partner')").await);
        assert!(said.contains("it is protected by tenant_id"), "{said}");

        let scope = |table: &str| format!("SELECT tenancy.scope_columns('{table}'::regclass)::text");
        as_owner(notes, "SELECT tenancy.protect('o')").await?;
        assert_eq!(told(notes, &scope("o")).await?.as_deref(), Some("{org_id}"));
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('o', 'tenant_id')").await);
        assert!(said.contains("it is protected by org_id"), "{said}");

        as_owner(
            notes,
            "ALTER TABLE t RENAME tenant_id TO owner_id; ALTER TABLE t RENAME partner TO tenant_id;
             SELECT tenancy.protect('t'); ALTER TABLE t ADD u int UNIQUE; SELECT tenancy.protect('t')",
        )
        .await?;
        assert_eq!(told(notes, &scope("t")).await?.as_deref(), Some("{owner_id}"));
        as_tenant(notes, &notes.acme, "INSERT INTO t (u) VALUES (1) RETURNING 'x'").await?;
        let own = as_tenant(notes, &notes.acme, "SELECT owner_id::text FROM t").await?;
        assert_eq!(own, [notes.acme.id.to_string()]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d20_six_at_a_time_all_succeed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (p int REFERENCES parents);
             ALTER TABLE parents ADD tenant_id uuid; ALTER TABLE children ADD tenant_id uuid",
        )
        .await?;
        for round in 0..3 {
            let calls = ["children", "parents", "notes", "parents", "children", "notes"].map(async |table| {
                as_owner(notes, &format!("SELECT tenancy.protect('{table}')")).await
            });
            let [a, b, c, d, e, f] = calls;
            let all = tokio::join!(a, b, c, d, e, f);
            for outcome in [all.0, all.1, all.2, all.3, all.4, all.5] {
                outcome.map_err(|error| anyhow::anyhow!("round {round}: {error}"))?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_call_changes_nothing_at_all() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE parents (id serial PRIMARY KEY, name text UNIQUE) ;
             CREATE TABLE children (p int REFERENCES parents ON DELETE SET NULL, tenant_id uuid, n int,
                 FOREIGN KEY (p) REFERENCES parents MATCH FULL);
             CREATE UNIQUE INDEX ON children (lower(n::text)) WHERE n > 0;
             CREATE TABLE tasks (id int PRIMARY KEY, parent int REFERENCES tasks);
             SELECT tenancy.protect('parents', global => '{parents_name_key}'), tenancy.protect('children'),
                 tenancy.protect('tasks', project => true)",
        )
        .await?;
        let state = "SELECT md5(concat_ws('|',
            (SELECT string_agg(c::text, '|' ORDER BY c.oid) FROM pg_constraint AS c),
            (SELECT string_agg(i::text, '|' ORDER BY i.indexrelid) FROM pg_index AS i),
            (SELECT string_agg(concat(c.oid, c.relacl, c.relowner), '|' ORDER BY c.oid) FROM pg_class AS c),
            (SELECT string_agg(d::text, '|' ORDER BY d.objoid) FROM pg_description AS d),
            (SELECT string_agg(p::text, '|' ORDER BY p.oid) FROM pg_policy AS p)))";
        let before = told(notes, state).await?;
        let mut owner = notes.database.admin().await?;
        owner.execute("SET ROLE tenancy_owner").await?;
        for table in ["tasks", "children", "parents", "notes", "notebooks"] {
            owner
                .execute(AssertSqlSafe(format!("SELECT tenancy.protect('{table}')")))
                .await?;
        }
        assert_eq!(told(notes, state).await?, before);
        Ok(())
    })
    .await
}

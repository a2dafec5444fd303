//! Nobody changes or removes what is there: no login, not the owner, and no superuser by accident.

use anyhow::ensure;
use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_tests::notes::{on_every_server, sqlstate};

use super::{linked, report};

const TABLES: [&str; 6] = [
    "audit_records",
    "audit_records_other",
    "audit_particulars",
    "audit_links",
    "audit_checkpoints",
    "audit_erasures",
];

#[tokio::test]
async fn the_owner_and_a_superuser_are_refused_in_every_table_and_partition() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        linked(notes, Some(notes.acme.id), 3).await?;
        let mut admin = notes.database.admin().await?;
        let partitions: Vec<String> = sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
             WHERE i.inhparent IN ('tenancy.audit_records'::regclass, 'tenancy.audit_particulars'::regclass)",
        )
        .fetch_all(&mut admin)
        .await?;
        ensure!(partitions.len() >= 8, "{partitions:?}");
        // So that each statement has a row to change.
        let fill = "INSERT INTO tenancy.audit_erasures (entry, cause) VALUES (gen_random_uuid(), gen_random_uuid());
            INSERT INTO tenancy.audit_checkpoints (chain, seq, kind, hash)
                VALUES (gen_random_uuid(), 7, 'head', '\\x00');
            INSERT INTO tenancy.audit_records (id, at, actor_kind, action, outcome)
                VALUES ('00000000-0000-7000-8000-000000000001', now(), 'user', 'a.b', 'allowed')";
        admin.execute(fill).await?;
        let tables = TABLES.iter().map(|table| (*table).to_owned());
        for role in ["tenancy_owner", "postgres"] {
            for table in tables.clone().chain(partitions.iter().cloned()) {
                let column = match &*table {
                    of if of.starts_with("audit_records") => "outcome = 'failed'",
                    of if of.starts_with("audit_particulars") => "reason = 'none'",
                    "audit_links" | "audit_checkpoints" => "hash = '\\x00'",
                    _ => "cause = gen_random_uuid()",
                };
                let rows = format!("SELECT count(*) FROM tenancy.{table}");
                let rows: i64 = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&mut admin).await?;
                for statement in [
                    format!("UPDATE tenancy.{table} SET {column}"),
                    format!("DELETE FROM tenancy.{table}"),
                    format!("TRUNCATE tenancy.{table}"),
                ] {
                    for replica in ["origin", "replica"] {
                        if role == "tenancy_owner" && replica == "replica" {
                            continue;
                        }
                        let whole = match role {
                            "postgres" => format!("SET LOCAL session_replication_role = {replica}; {statement}"),
                            _ => format!("SET LOCAL ROLE {role}; {statement}"),
                        };
                        let refused = admin.execute(AssertSqlSafe(format!("BEGIN; {whole}"))).await;
                        let said = sqlstate(refused);
                        admin.execute("ROLLBACK").await?;
                        // A row trigger has nothing to refuse where there is no row.
                        let expected = if rows == 0 && !statement.starts_with("TRUNCATE") { "00000" } else { "42501" };
                        ensure!(said == expected, "{role}, {replica}: {statement}: {said}");
                    }
                }
            }
        }
        ensure!(report(notes, Some(notes.acme.id)).await?.verified == 3);
        Ok(())
    })
    .await
}

//! What real schemas hold and what attackers try, case by case. A test's name starts with the number
//! of its case.

mod again;
mod around;
mod corpus;
mod data;
mod detours;
mod keys;
mod later;
mod privileges;
mod projects;
mod views;

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_core::TenantRecord;
use tenancy_tests::notes::Notes;

/// The definitions of a table's constraints, by name, but for those that each protected table has.
async fn constraints(notes: &Notes, table: &str) -> anyhow::Result<String> {
    let sql = format!(
        "SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), E'\\n' ORDER BY conname)
         FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype <> 'n'
             AND confrelid NOT IN ('tenancy.tenants'::regclass, 'tenancy.projects'::regclass)"
    );
    Ok(crate::told(notes, &sql).await?.unwrap_or_default())
}

/// Runs statements as the service's login with a tenant set; the rows of the last one, as text.
async fn as_tenant(
    notes: &Notes,
    tenant: &TenantRecord,
    sql: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let mut app = notes
        .app()
        .await
        .map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
    let name = format!(
        "SELECT set_config('tenancy.tenant_id', '{}', false)",
        tenant.id
    );
    app.execute(AssertSqlSafe(name)).await?;
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut app)
        .await
}

//! What the check of a pool finds in a database whose seal was altered.

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_sqlx::{TenantPoolOptions, schema};
use tenancy_tests::notes::{Notes, on_every_server_sealed};

use crate::in_both_ways;

#[tokio::test]
async fn a_sealed_database_has_no_findings() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let findings = pool.findings().await?;
        assert!(findings.is_empty(), "{findings:?}");
        pool.ready().await?;
        let mut admin = notes.database.admin().await?;
        let findings = schema::findings(&mut admin, "tenancy_app").await?;
        assert!(findings.is_empty(), "{findings:?}");
        Ok(())
    })
    .await
}

/// Each is found with its code, and gone once it is mended.
#[tokio::test]
async fn what_was_altered_is_found() -> anyhow::Result<()> {
    const BODY: &str = "RETURNS uuid LANGUAGE sql STABLE RETURN \
         NULLIF(current_setting('tenancy.tenant_id', true), '')::uuid";
    in_both_ways(async |notes| {
        let mut admin = notes.database.admin().await?;
        let login = format!("member_{}", uuid::Uuid::now_v7().simple());
        let make = format!("CREATE ROLE {login} LOGIN IN ROLE tenancy_app");
        admin.execute(AssertSqlSafe(make)).await?;
        let mut alterations = vec![
            (
                "seal-altered",
                format!("CREATE OR REPLACE FUNCTION tenancy.current_tenant() {BODY}"),
                None,
            ),
            (
                "seal-altered",
                format!("CREATE OR REPLACE FUNCTION tenancy.current_project() {BODY}"),
                None,
            ),
            (
                "seal-altered",
                "ALTER FUNCTION tenancy.current_tenant() SET search_path = public".into(),
                Some("ALTER FUNCTION tenancy.current_tenant() RESET search_path"),
            ),
            (
                "seal-open",
                "GRANT EXECUTE ON FUNCTION tenancy_seal.keep(text) TO tenancy_app".into(),
                Some("REVOKE EXECUTE ON FUNCTION tenancy_seal.keep(text) FROM tenancy_app"),
            ),
            (
                "seal-open",
                "ALTER TABLE tenancy_seal.keys DISABLE ROW LEVEL SECURITY".into(),
                Some("ALTER TABLE tenancy_seal.keys ENABLE ROW LEVEL SECURITY"),
            ),
            (
                "seal-open",
                "GRANT SELECT ON tenancy_seal.keys TO tenancy_app".into(),
                Some("REVOKE SELECT ON tenancy_seal.keys FROM tenancy_app"),
            ),
            (
                "seal-open",
                "ALTER FUNCTION tenancy_seal.tenant() OWNER TO tenancy_app".into(),
                Some("ALTER FUNCTION tenancy_seal.tenant() OWNER TO tenancy_sealer"),
            ),
            (
                "reaches-sealer",
                format!("GRANT tenancy_sealer TO {login}"),
                None,
            ),
        ];
        if notes.seal == Some(schema::SealWay::Parameter) {
            let grant = format!("GRANT SET ON PARAMETER backtrace_functions TO {login}");
            alterations.push(("may-set-parameter", grant, None));
        }
        for (code, alter, mend) in alterations {
            admin.execute(AssertSqlSafe(alter.clone())).await?;
            let findings = schema::findings(&mut admin, &login).await?;
            let found = findings.iter().find(|one| one.code() == code);
            let found = found.ok_or_else(|| anyhow::anyhow!("{alter}: {findings:?}"))?;
            let mend = match mend {
                Some(mend) => mend.to_owned(),
                None => found.mend().unwrap_or_default().to_owned(),
            };
            admin.execute(sqlx::raw_sql(AssertSqlSafe(mend))).await?;
            let findings = schema::findings(&mut admin, &login).await?;
            assert!(findings.is_empty(), "{alter}: {findings:?}");
        }
        admin
            .execute(AssertSqlSafe(format!("DROP ROLE {login}")))
            .await?;
        Ok(())
    })
    .await
}

/// No pool starts where the policies read this.
async fn is_found(notes: &Notes, body: &str) -> anyhow::Result<()> {
    let head =
        "CREATE OR REPLACE FUNCTION tenancy.current_tenant() RETURNS uuid LANGUAGE sql STABLE";
    notes.as_admin(&format!("{head} RETURN {body}")).await?;
    let Err(refused) = notes.pool(TenantPoolOptions::new()).await else {
        anyhow::bail!("a pool has started");
    };
    let refused = refused.to_string();
    assert!(refused.contains("seal-altered"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_pool_does_not_start_where_the_seal_was_taken_off_by_hand() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        is_found(
            notes,
            "NULLIF(current_setting('tenancy.tenant_id', true), '')::uuid",
        )
        .await
    })
    .await
}

/// In a database that is not sealed, too.
#[tokio::test]
async fn another_text_of_what_the_policies_read_is_found() -> anyhow::Result<()> {
    on_every_server_sealed(None, async |notes| {
        is_found(
            notes,
            "(SELECT NULLIF(current_setting('app.tenant', true), '')::uuid)",
        )
        .await
    })
    .await
}

/// Whoever uses the parameter for what it is made for is told so.
#[tokio::test]
async fn a_parameter_that_is_in_use_is_found() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        if notes.seal != Some(schema::SealWay::Parameter) {
            return Ok(());
        }
        let database = notes.database.name();
        notes
            .as_admin(&format!(
                "ALTER DATABASE {database} SET backtrace_functions = 'errfinish'"
            ))
            .await?;
        let refused = notes
            .pool(TenantPoolOptions::new())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("session-setting") && refused.contains("errfinish"),
            "{refused}"
        );
        Ok(())
    })
    .await
}

//! SQL that an attacker has a tenant's handler run.

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_sqlx::{SessionMode, TenantPool, TenantPoolOptions, TxOptions};
use tenancy_tests::notes::Notes;

use crate::in_both_ways;

/// What an attacker tries, one after the other; `$T` is the other tenant.
pub(crate) const ATTEMPTS: &[&str] = &[
    "SELECT set_config('tenancy.tenant_id', '$T', true), set_config('tenancy.tenant_id', '$T', false)",
    "SET tenancy.tenant_id = '$T'",
    "SET LOCAL tenancy.tenant_id = '$T'",
    "RESET tenancy.tenant_id",
    "RESET ALL",
    "RESET ALL; SET tenancy.tenant_id = '$T'",
    "COMMIT; DISCARD ALL; SET tenancy.tenant_id = '$T'; BEGIN",
    "COMMIT; SET tenancy.tenant_id = '$T'; BEGIN; SELECT count(*) FROM notes",
    "ROLLBACK; SET tenancy.tenant_id = '$T'; BEGIN",
    "SET backtrace_functions = '00000000000000000000000000000000,0,$H,'",
    "SET LOCAL backtrace_functions = '00000000000000000000000000000000,0,$H,'",
    "RESET backtrace_functions",
    "SELECT set_config('backtrace_functions', 'x,0,$H,', false)",
    "SELECT set_config('backtrace_functions', 'x,0,$H,', true)",
    "UPDATE pg_settings SET setting = 'x,0,$H,' WHERE name = 'backtrace_functions'",
    "ALTER ROLE CURRENT_USER SET backtrace_functions = 'x,0,$H,'",
    "ALTER ROLE CURRENT_USER SET backtrace_functions FROM CURRENT",
    "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql SET backtrace_functions = 'x,0,$H,' AS 'SELECT'",
    "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql SET backtrace_functions FROM CURRENT AS 'SELECT'",
    "SELECT set_config('tenancy.session', s, false) FROM (SELECT current_setting('tenancy.session')) AS c (s)",
    "SELECT set_config('tenancy.session', gen_random_uuid()::text, false)",
    "SELECT set_config('tenancy.sealed', replace(current_setting('tenancy.sealed'),
         replace(current_setting('tenancy.tenant_id'), '-', ''), '$H'), false)",
    "SELECT set_config('tenancy.sealed', repeat('0', 64) || ',1,4102444800000000,x,1,$H,', false)",
    "RESET tenancy.sealed",
    "SELECT set_config('tenancy.sealed', tenancy_seal.signed('x,0,$H,'), false)",
    "SELECT tenancy_seal.code('', '', '1,4102444800000000,x,0,$H,')",
    "SELECT tenancy_seal.recalled(false)",
    "SELECT * FROM tenancy_seal.keys",
    "SELECT * FROM tenancy_seal.sessions",
    "UPDATE tenancy_seal.sessions SET kept = 'x,0,$H,'",
    "SELECT tenancy_seal.keep('x,0,$H,')",
    "SELECT tenancy_seal.keep_in('row')",
    "SELECT tenancy_seal.add_key(9, decode(repeat('00', 32), 'hex'))",
    "SELECT tenancy_seal.open()",
    "SELECT tenancy_seal.leave()",
    "SELECT tenancy_seal.enter('', 1, '$T', NULL, 4102444800000000, 1, decode(repeat('00', 32), 'hex'))",
    "SELECT tenancy_seal.enter(split_part(tenancy_seal.kept(), ',', 1), 1000000, '$T', NULL, 4102444800000000, 1, '')",
    "SELECT tenancy.seal_sessions()",
    "SELECT tenancy.unseal_sessions()",
    "SELECT tenancy.read_scope(NULL)",
    "CREATE OR REPLACE FUNCTION tenancy.current_tenant() RETURNS uuid LANGUAGE sql RETURN '$T'::uuid",
    "CREATE OR REPLACE FUNCTION tenancy_seal.tenant() RETURNS uuid LANGUAGE sql RETURN '$T'::uuid",
    "CREATE FUNCTION pg_temp.current_tenant() RETURNS uuid LANGUAGE sql AS 'SELECT ''$T''::uuid'; SET search_path = pg_temp",
    "SET ROLE tenancy_owner",
    "SET ROLE tenancy_system",
    "SET ROLE tenancy_registry",
    "SET ROLE tenancy_sealer",
    "SET SESSION AUTHORIZATION tenancy_sealer",
    "SELECT set_config('role', 'tenancy_sealer', true)",
    "SET row_security = off",
    "DO $$ BEGIN EXECUTE 'SET tenancy.tenant_id = ' || quote_literal('$T'); END $$",
    "DO $$ BEGIN PERFORM set_config('backtrace_functions', 'x,0,$H,', false); END $$",
    "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE plpgsql SET tenancy.tenant_id = '$T' AS
         'BEGIN EXECUTE ''CREATE TEMP TABLE stolen AS SELECT * FROM notes''; END'; SELECT pg_temp.f()",
    "PREPARE p AS SELECT set_config('tenancy.tenant_id', '$T', false); EXECUTE p",
    "PREPARE p AS INSERT INTO notes (tenant_id, body) VALUES ('$T', 'planted'); EXECUTE p",
    "INSERT INTO notes (tenant_id, body) VALUES ('$T', 'planted')",
    "UPDATE notes SET tenant_id = '$T'",
    "DELETE FROM notes WHERE tenant_id = '$T'",
    "MERGE INTO notes AS n USING (SELECT) AS x ON n.tenant_id = '$T' WHEN MATCHED THEN DELETE",
];

pub(crate) const MODES: [SessionMode; 3] = [
    SessionMode::Transaction,
    SessionMode::Switched,
    SessionMode::Pinned,
];

pub(crate) fn filled(attempt: &str, notes: &Notes) -> String {
    let other = notes.globex.id.as_uuid();
    attempt
        .replace("$T", &other.to_string())
        .replace("$H", &other.simple().to_string())
}

/// Each attempt, and what is seen after it in the same session, or in one that has answered with an error.
pub(crate) async fn attack(
    notes: &Notes,
    pool: &TenantPool,
    options: &TxOptions,
) -> anyhow::Result<()> {
    let (acme, globex) = (notes.context(&notes.acme), notes.context(&notes.globex));
    // Whatever the attempt was: the setting alone is the first thing that an attacker changes.
    let foreign = format!(
        "SELECT set_config('tenancy.tenant_id', '{0}', false);
         SELECT FROM notes WHERE tenant_id = '{0}'",
        notes.globex.id
    );
    for attempt in ATTEMPTS {
        let sql = filled(attempt, notes);
        let mut tx = pool.begin_with(&acme, options.clone()).await?;
        let own = tx.fetch_all("SELECT FROM notes").await?.len();
        assert_eq!(own, 3, "before {attempt}");
        let outcome = tx.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        if outcome.is_ok() {
            for _ in 0..2 {
                // A role that owns nothing and an empty search path see nothing, which is as good.
                let seen = tx
                    .fetch_all(sqlx::raw_sql(AssertSqlSafe(foreign.clone())))
                    .await;
                if let Ok(rows) = seen {
                    assert_eq!(rows.len(), 1, "in the transaction of {attempt}");
                }
                tx.execute("ROLLBACK").await?;
            }
        }
        drop(tx);

        // Whoever comes next gets what is theirs, and nothing has changed.
        for (context, own) in [(&globex, 5), (&acme, 3), (&globex, 5)] {
            let db = pool.tenant(context)?;
            let reader = db.reader();
            let read = sqlx::query("SELECT FROM public.notes").fetch_all(&reader);
            assert_eq!(read.await?.len(), own, "after {attempt}");
            let mut tx = pool.begin_with(context, options.clone()).await?;
            tx.check_tenant().await?;
            assert_eq!(
                tx.fetch_all("SELECT FROM notes").await?.len(),
                own,
                "after {attempt}"
            );
        }
        for (tenant, own) in [(&notes.acme, 3), (&notes.globex, 5)] {
            assert_eq!(notes.count("notes", tenant).await?, own, "{attempt}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn nothing_names_another_tenant() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        for sessions in MODES {
            let options = TenantPoolOptions::new()
                .max_connections(1)
                .sessions(sessions);
            let pool = notes.pool(options).await?;
            attack(notes, &pool, &TxOptions::new()).await?;
            pool.close().await;
        }
        Ok(())
    })
    .await
}

/// The same attempts in a database that is not sealed: some of them succeed, which is why there are seals.
#[tokio::test]
async fn without_a_seal_a_setting_is_enough() -> anyhow::Result<()> {
    tenancy_tests::notes::on_every_server_sealed(None, async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        tx.execute(AssertSqlSafe(filled(ATTEMPTS[0], notes)))
            .await?;
        assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 5);
        Ok(())
    })
    .await
}

/// Code of the application's that puts statements together, and that anybody may call.
#[tokio::test]
async fn a_function_of_the_applications_can_be_made_to_say_anything() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        for (name, rights) in [("as_caller", ""), ("as_owner", "SECURITY DEFINER")] {
            notes
                .as_admin(&format!(
                    "SET ROLE tenancy_owner; CREATE FUNCTION {name}(told text) RETURNS bigint
                     LANGUAGE plpgsql {rights} AS $$ DECLARE n bigint; BEGIN
                         EXECUTE told; EXECUTE 'SELECT count(*) FROM notes' INTO n; RETURN n; END $$"
                ))
                .await?;
        }
        for sessions in MODES {
            let options = TenantPoolOptions::new().sessions(sessions);
            let pool = notes.pool(options.check_session_every(0)).await?;
            let acme = pool.tenant(&notes.context(&notes.acme))?;
            for name in ["as_caller", "as_owner"] {
                for (attempt, seen) in [("SELECT", 3), (ATTEMPTS[0], 0), (ATTEMPTS[1], 0)] {
                    let call = format!("SELECT {name}($1)");
                    let call = sqlx::query_scalar::<_, i64>(AssertSqlSafe(call));
                    let call = call.bind(filled(attempt, notes));
                    let rows = call.fetch_one(&acme.reader()).await?;
                    // A pinned session may still have the setting of the attempt before, and show nothing.
                    let is_blind = sessions == SessionMode::Pinned && rows == 0;
                    assert!(rows == seen || is_blind, "{name} {attempt}: {rows}");
                }
                let call = format!("SELECT {name}('RESET ALL')");
                let call = sqlx::query_scalar::<_, i64>(AssertSqlSafe(call));
                assert_eq!(call.fetch_one(&acme.reader()).await?, 0, "{name}");
            }
            let mut tx = pool.begin(&notes.context(&notes.globex)).await?;
            assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 5);
            drop(tx);
            pool.close().await;
        }
        Ok(())
    })
    .await
}

/// Settings that a connection starts with.
#[tokio::test]
async fn a_connection_can_not_start_with_a_tenant() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        use sqlx::ConnectOptions as _;

        let forged = format!("x,0,{},", notes.globex.id.as_uuid().simple());
        let options = notes
            .app_options()
            .options([("backtrace_functions", forged.as_str())]);
        assert!(options.connect().await.is_err());
        let options = notes
            .app_options()
            .options([("tenancy.tenant_id", notes.globex.id.to_string())]);
        let mut connection = options.connect().await?;
        assert_eq!(connection.fetch_all("SELECT FROM notes").await?.len(), 0);
        Ok(())
    })
    .await
}

//! Rows of imported keys: the service's login finds one by its handle, and a row says one way to
//! verify a key.

use sqlx::Executor as _;
use tenancy_core::key::{Environment, KeyDirectory as _, LowEntropySecret};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{on_every_server, sqlstate};

use crate::world::{engine, import};

#[tokio::test]
async fn the_services_login_lists_and_changes_no_imported_key() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(notes)?;
        let key = import(
            notes,
            &tenancy,
            "4711",
            LowEntropySecret::new("correcthorse")?,
        )
        .await?;
        assert_eq!(notes.count("tenancy.api_keys", &notes.acme).await?, 1);
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        // Not even in its own tenant.
        let db = pool.tenant(&notes.context(&notes.acme))?;
        for statement in [
            "SELECT handle FROM tenancy.api_keys",
            "SELECT count(secret_hash) FROM tenancy.api_keys",
            "UPDATE tenancy.api_keys SET secret_hash = 'x', handle = 'y'",
            "INSERT INTO tenancy.api_keys SELECT * FROM tenancy.find_imported_key('live', '4711')",
            "DELETE FROM tenancy.api_keys WHERE handle = '4711'",
        ] {
            let refused = sqlstate(db.execute(statement).await);
            assert_eq!(refused, "42501", "{statement}");
        }
        let handle = "4711".parse()?;
        let find = async |environment| {
            let found = notes
                .directory
                .find_imported_key(environment, &handle)
                .await?;
            anyhow::Ok(found.map(|found| found.id))
        };
        assert_eq!(find(Environment::Live).await?, Some(key.id));
        assert_eq!(find(Environment::Test).await?, None);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nobody_but_the_services_logins_may_look_for_a_handle() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut admin = notes.database.admin().await?;
        let public: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_proc AS p, aclexplode(p.proacl) AS a
                 WHERE p.oid = 'tenancy.find_imported_key(text, text)'::regprocedure
                     AND a.grantee = 0)",
        )
        .fetch_one(&mut admin)
        .await?;
        assert!(!public);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_row_says_one_way_to_verify_a_key() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(notes)?;
        import(
            notes,
            &tenancy,
            "4711",
            LowEntropySecret::new("correcthorse")?,
        )
        .await?;
        for set in [
            "digest = sha256('x'), digest_version = 1",
            "digest_version = 1",
            "secret_hash = NULL",
            "handle = NULL",
            "handle = NULL, secret_hash = NULL",
            "secret_hash = ''",
            "secret_hash = repeat('x', 513)",
            "handle = ''",
            "handle = 'a b'",
            "handle = 'a,b'",
            "handle = 'é'",
            "handle = repeat('x', 65)",
        ] {
            let update = format!("UPDATE tenancy.api_keys SET {set}");
            let Err(refused) = notes.as_admin(&update).await else {
                anyhow::bail!("{set}");
            };
            assert!(
                format!("{refused:#}").contains("check constraint"),
                "{set}: {refused:#}"
            );
        }
        let own = "UPDATE tenancy.api_keys SET handle = NULL, secret_hash = NULL,
                       digest = sha256('x'), digest_version = 1";
        notes.as_admin(own).await
    })
    .await
}

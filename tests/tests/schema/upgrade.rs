//! Installing a newer schema over an older one that is in use.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, Executor as _, migrate::Migrator};
use tenancy_core::{
    Clock as _, KeyId, SystemClock, Tenant, TenantStatus, UserId,
    key::{
        ApiKey, Environment, KeyDigest, KeyDirectory as _, KeyStore as _, KeyVerifier, SecretHash,
    },
};
use tenancy_sqlx::{PgDirectory, danger::SystemPool};
use tenancy_tests::{Server, Template, notes::PASSWORD};

use crate::install::{installs, own_roles, quoted, remove};

pub(crate) static OURS: Migrator = sqlx::migrate!("../tenancy-sqlx/migrations");

/// Before there were imported keys.
const BEFORE_IMPORTS: i64 = 7;

#[tokio::test]
async fn keys_that_were_issued_before_imports_go_on_and_others_are_imported_beside()
-> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let acme = Tenant::new("acme".parse()?, "Acme").with_status(TenantStatus::Active);
        let digest = KeyDigest::new(3, [7; 32]);
        let (old, creator, now) = (KeyId::new(), UserId::new(), SystemClock.now());

        let mut admin = database.admin().await?;
        let owner = quoted(&roles.owner);
        let prepare = format!(
            "CREATE ROLE {owner}; CREATE SCHEMA tenancy AUTHORIZATION {owner}; SET ROLE {owner}"
        );
        admin.execute(AssertSqlSafe(prepare)).await?;
        let older = OURS.iter().filter(|one| one.version <= BEFORE_IMPORTS);
        let mut older = Migrator {
            migrations: Cow::Owned(older.cloned().collect()),
            ..Migrator::DEFAULT
        };
        older.dangerous_set_table_name("tenancy.migrations");
        older.run_direct(None, &mut admin, false).await?;
        let fill = format!(
            "INSERT INTO tenancy.tenants (id, slug, name, status, settings)
                 VALUES ('{tenant}', 'acme', 'Acme', 'active', '{{}}');
             INSERT INTO tenancy.api_keys
                 VALUES ('{old}', '{tenant}', '{creator}', 'live', 'old', '{{*}}', NULL, '{{}}',
                     '{{}}', decode(repeat('07', 32), 'hex'), 3, now(), NULL, NULL, NULL, false,
                     NULL, NULL)",
            tenant = acme.id
        );
        admin.execute(AssertSqlSafe(fill)).await?;
        admin.execute("RESET ROLE").await?;

        installs(&database, &roles).await?;
        let system = database.options_as(&roles.system, Some(PASSWORD));
        let system = SystemPool::connect_with(system).await?;
        let app = database.options_as(&roles.app, Some(PASSWORD));
        let directory = PgDirectory::connect_with(app, 1)
            .await?
            .with_system(&system);
        let kept = directory.find_key(old).await?;
        let kept = kept.ok_or_else(|| anyhow::anyhow!("the key is gone"))?;
        assert_eq!((kept.tenant, kept.creator), (acme.id, creator));
        assert_eq!(kept.verifier, KeyVerifier::Digest(digest));
        let hash = SecretHash::from_stored("a hash");
        let handle: tenancy_core::key::KeyHandle = "4711".parse()?;
        let verifier = KeyVerifier::Argon2id {
            handle: handle.clone(),
            hash,
        };
        let id = KeyId::new();
        let new = ApiKey::new(id, acme.id, creator, Environment::Live, verifier, now);
        directory.insert_key(&new).await?;
        let found = directory
            .find_imported_key(Environment::Live, &handle)
            .await?;
        assert_eq!(found.map(|found| found.id), Some(id));
        let revoked = directory.revoke_creator_keys(creator, now).await?;
        assert_eq!(revoked, [(acme.id, 2)]);

        directory.close().await;
        system.close().await;
        sqlx::Connection::close(admin).await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}

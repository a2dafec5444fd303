//! The installation under sqlx's own test attribute, in which the login is a superuser's.
//!
//! `#[sqlx::test]` wants `DATABASE_URL` when it runs. So that a plain `cargo test` runs it too, an
//! ordinary test starts a server and this binary once more, with the variable set.

use std::{process::Command, sync::LazyLock};

use sqlx::{
    PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tenancy_core::{MemoryDirectory, Tenancy, TenantRecord, testing::ContextBuilder};
use tenancy_sqlx::{TenantPoolOptions, danger, schema::Installer};
use tenancy_tests::{Server, Template, logwatch, notes};

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| Installer::new().merged(&notes::MIGRATIONS));

#[sqlx::test(migrator = "MIGRATOR")]
#[ignore = "run by the other test of this file, with DATABASE_URL"]
async fn under_the_attribute_of_sqlx(
    settings: PgPoolOptions,
    options: PgConnectOptions,
) -> anyhow::Result<()> {
    logwatch::watch();
    let tenancy = Tenancy::builder(MemoryDirectory::new())
        .authenticator(notes::authenticator()?)
        .build()?;
    let admin: PgPool = settings.connect_with(options.clone()).await?;
    let mut contexts = Vec::new();
    for slug in ["acme", "globex"] {
        let tenant = TenantRecord::new(slug.parse()?, slug);
        sqlx::query(
            "INSERT INTO tenancy.tenants (id, slug, name, status) VALUES ($1, $2, $2, 'active')",
        )
        .bind(tenant.id.as_uuid())
        .bind(slug)
        .execute(&admin)
        .await?;
        contexts.push(ContextBuilder::new(&tenancy, tenant).build());
    }
    let assumed = danger::assume_app_role(TenantPoolOptions::new(), "tenancy_app", "a test");
    let pool = assumed.connect_with(options, &tenancy).await?;
    for (number, context) in contexts.iter().enumerate() {
        let db = pool.tenant(context)?;
        for _ in 0..=number {
            sqlx::query("INSERT INTO notes (body) VALUES ('own')")
                .execute(&db)
                .await?;
        }
    }
    let all: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
        .fetch_one(&admin)
        .await?;
    assert_eq!(all, 3, "the login of the test sees both tenants' notes");
    for (own, context) in (1_i64..).zip(&contexts) {
        let db = pool.tenant(context)?.reader();
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
            .fetch_one(&db)
            .await?;
        assert_eq!(seen, own);
    }
    Ok(())
}

#[tokio::test]
async fn the_installation_works_under_the_attribute_of_sqlx() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let ran = Command::new(std::env::current_exe()?)
            .args(["--exact", "under_the_attribute_of_sqlx", "--ignored"])
            .env("DATABASE_URL", database.url())
            .output()?;
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(
            ran.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        database.close().await?;
    }
    Ok(())
}

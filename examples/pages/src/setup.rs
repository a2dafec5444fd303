//! Preparing the database, and building the engine.
//!
//! | variable | for | meaning |
//! |---|---|---|
//! | `ADMIN_DATABASE_URL` | install | the database, as its administrator |
//! | `PAGES_PASSWORD` | install | the password that the logins get |
//! | `DATABASE_URL` | serving, mailing | the database, as `tenancy_app`: what tenants have |
//! | `REGISTRY_DATABASE_URL` | serving, mailing | as `tenancy_registry`: organizations, members, invitations |
//! | `AUDIT_DATABASE_URL` | serving, mailing | as `tenancy_audit`: the trail |
//! | `ACCOUNTS_DATABASE_URL` | serving | as `pages_accounts`: accounts and sessions |
//! | `SYSTEM_DATABASE_URL` | mailing | as `tenancy_system`: the outbox |
//! | `PAGES_PEPPER` | serving, mailing | what links are derived with, 32 random bytes or more |
//! | `PAGES_MAILS` | serving, mailing | the folder where mails are written, `mails` if it is not set |
//! | `PAGES_URL` | serving, mailing | what links begin with, `http://localhost:3000` if it is not set |

use std::env::var;

use sqlx::{Connection as _, Executor as _, PgConnection, migrate::Migrator};
use tenancy::{
    Identification, Passwords, PermissionRegistry, SystemRole, Tenancy,
    key::Pepper,
    one_time::OneTimeTokens,
    postgres::{PgAuditSink, PgDirectory, RegistryPool, schema::Installer},
};

use crate::{accounts::Accounts, mails::Mails};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Makes the login of the accounts if it is not there. Roles are the whole server's, and migrations can't make any.
const ROLE: &str = "DO $$ BEGIN CREATE ROLE pages_accounts LOGIN; \
                    EXCEPTION WHEN duplicate_object THEN NULL; END $$";

/// Installs roles, schema and the service's own tables, as the database's administrator.
pub async fn install() -> Result<()> {
    let mut admin = PgConnection::connect(&var("ADMIN_DATABASE_URL")?).await?;
    install_on(&mut admin, &var("PAGES_PASSWORD")?).await?;
    Ok(admin.close().await?)
}

/// The same on a connection of the administrator's. All logins get the password: a service that is no example has
/// one for each.
pub async fn install_on(admin: &mut PgConnection, password: &str) -> Result<()> {
    admin.execute(ROLE).await?;
    let set = "SELECT format('ALTER ROLE pages_accounts PASSWORD %L', $1::text)";
    let set = sqlx::query_scalar(set).bind(password);
    let set: String = set.fetch_one(&mut *admin).await?;
    // Quoted by the server, one line above.
    admin.execute(sqlx::AssertSqlSafe(set)).await?;
    Installer::new()
        .passwords(password, password)
        .registry_password(password)
        .audit_password(password)
        .run_on(admin, &MIGRATIONS)
        .await?;
    Ok(())
}

/// The engine, and the accounts beside it.
pub async fn service() -> Result<(Tenancy, Accounts)> {
    let tenancy = engine().await?;
    // As many hashes at once as there are cores, and 10 attempts at an account in a minute.
    let passwords = Passwords::builder().min_chars(10).build()?;
    let url = var("ACCOUNTS_DATABASE_URL")?;
    let accounts = Accounts::connect(&url, &tenancy, passwords, tokens()?, mails()?).await?;
    Ok((tenancy, accounts))
}

/// The engine, which serves and mails.
pub(crate) async fn engine() -> Result<Tenancy> {
    let registry = RegistryPool::connect(&var("REGISTRY_DATABASE_URL")?).await?;
    let directory = PgDirectory::connect(&var("DATABASE_URL")?)
        .await?
        .with_registry(&registry);
    let permissions = PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .permission("members:read", SystemRole::Viewer)
        .permission("members:invite", SystemRole::Admin)
        .build()?;
    let tenancy = Tenancy::builder(directory)
        // One host, one cookie: `/o/acme/…` is Acme's.
        .identification(Identification::new().path_prefix("/o"))
        // Who is calling, the session library's middleware says.
        .established_principals()
        .permissions(permissions)
        .invitations(tokens()?)
        .audit(PgAuditSink::connect(&var("AUDIT_DATABASE_URL")?).await?)
        .build()?;
    Ok(tenancy)
}

/// For the links of invitations and of confirmations. A token of the one kind is none of the other.
fn tokens() -> Result<OneTimeTokens> {
    let pepper = Pepper::new(1, var("PAGES_PEPPER")?)?;
    Ok(OneTimeTokens::new(pepper))
}

pub(crate) fn mails() -> Result<Mails> {
    let folder = var("PAGES_MAILS").unwrap_or_else(|_| "mails".into());
    let site = var("PAGES_URL").unwrap_or_else(|_| "http://localhost:3000".into());
    Ok(Mails::new(&folder, &site)?)
}

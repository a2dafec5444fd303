//! One test's database, and the logins to it.

use std::fmt;

use sqlx::{Connection as _, postgres::PgConnectOptions};

use super::template::{connect, remove};
use crate::schema::{InstallError, Installer};

/// A database of one test, removed when this is dropped; connections to it are ended.
///
/// Keep it for as long as the test needs the database: `let _database`, and not `let _`.
///
/// ```no_run
/// use sqlx::{ConnectOptions as _, Row as _};
/// use tenancy_sqlx::testing::TestDatabase;
///
/// # async fn test(database: TestDatabase) -> sqlx::Result<()> {
/// // What the service's login may see without a tenant: nothing.
/// let mut app = database.app().connect().await?;
/// let notes = sqlx::query("SELECT count(*) FROM notes").fetch_one(&mut app).await?;
/// assert_eq!(notes.get::<i64, _>(0), 0);
/// # Ok(())
/// # }
/// ```
#[must_use = "the database is removed when this is dropped"]
pub struct TestDatabase {
    server: PgConnectOptions,
    name: String,
    installer: Installer,
}

impl TestDatabase {
    pub(super) const fn new(server: PgConnectOptions, name: String, installer: Installer) -> Self {
        Self {
            server,
            name,
            installer,
        }
    }

    /// The database's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The administrator, who sees every row: to arrange, and to look at what was written.
    #[must_use]
    pub fn admin(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }

    /// The login of the service, for [`TenantPool`](crate::TenantPool).
    #[must_use]
    pub fn app(&self) -> PgConnectOptions {
        self.login("app")
    }

    /// The login for self-service, for [`RegistryPool`](crate::RegistryPool).
    #[must_use]
    pub fn registry(&self) -> PgConnectOptions {
        self.login("registry")
    }

    /// The login of the audit trail, for [`PgAuditSink`](crate::PgAuditSink).
    #[must_use]
    pub fn audit(&self) -> PgConnectOptions {
        self.login("audit")
    }

    /// The login of operators.
    #[must_use]
    pub fn system(&self) -> PgConnectOptions {
        self.login("system")
    }

    fn login(&self, kind: &str) -> PgConnectOptions {
        let (role, password) = self.installer.login(kind);
        let login = self.admin().username(role);
        // The administrator's password is nobody else's.
        login.password(password.unwrap_or_default())
    }

    /// Removes the database now, and says where that fails; dropping this does the same and says nothing.
    ///
    /// # Errors
    /// An [`InstallError`] if the server does not remove it.
    pub async fn close(mut self) -> Result<(), InstallError> {
        let name = std::mem::take(&mut self.name);
        remove_from(&self.server, &name).await
    }
}

async fn remove_from(server: &PgConnectOptions, name: &str) -> Result<(), InstallError> {
    let mut admin = connect(server).await?;
    let removed = remove(&mut admin, name).await;
    let _ = admin.close().await;
    removed
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        // A runtime of its own: the test's may be ending, and can't be blocked on from within.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                // What stays is removed by a run of a later day.
                let _ = runtime.block_on(remove_from(&server, &name));
            }
        });
        let _ = removing.join();
    }
}

impl fmt::Debug for TestDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDatabase")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

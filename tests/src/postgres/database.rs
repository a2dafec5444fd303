//! A database of its own for one test.

use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Duration, sleep};

use super::{Error, Server, Template, background, leftovers, server::execute};

/// SQLSTATE `object_in_use`: somebody is connected to the template.
const IN_USE: &str = "55006";

/// A database that only this test uses.
///
/// [`close`](Self::close) drops it. Dropping the value does so too, but only as well as a
/// destructor can: errors are lost, and in a throw-away cluster nobody waits for it.
#[derive(Debug)]
#[must_use = "the database is gone when this value is"]
pub struct TestDatabase {
    server: Server,
    name: String,
    open: bool,
}

impl TestDatabase {
    pub(super) async fn create(server: &Server, template: &Template) -> Result<Self, Error> {
        let source = template.ensure(server).await?;
        let name = format!(
            "{}{}",
            leftovers::TEST_PREFIX,
            uuid::Uuid::now_v7().simple()
        );
        let sql = format!("CREATE DATABASE {name} TEMPLATE {source}");
        let mut admin = server.connect().await?;
        let mut tries = 0;
        while let Err(error) = execute(&mut admin, sql.clone()).await {
            tries += 1;
            let in_use = error.as_database_error().and_then(|error| error.code());
            if tries == 10 || in_use.as_deref() != Some(IN_USE) {
                return Err(Error::sql(format!("cannot copy the template {source}"))(
                    error,
                ));
            }
            sleep(Duration::from_millis(100)).await;
        }
        let database = Self {
            server: server.clone(),
            name,
            open: true,
        };
        leftovers::label(server, &mut admin, &database.name).await?;
        let _ = admin.close().await;
        Ok(database)
    }

    /// The server it is in.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Options of the administrator, whom row level security does not stop.
    #[must_use]
    pub fn admin_options(&self) -> PgConnectOptions {
        self.server.admin_options().database(&self.name)
    }

    /// Options of another role. A throw-away cluster asks for no password.
    #[must_use]
    pub fn options_as(&self, role: &str, password: Option<&str>) -> PgConnectOptions {
        let options = self.admin_options().username(role);
        // Without a password of its own the role must not be tried with the administrator's.
        options.password(password.unwrap_or_default())
    }

    /// [`admin_options`](Self::admin_options) as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.admin_options().to_url_lossy().to_string()
    }

    /// [`options_as`](Self::options_as) as a URL.
    #[must_use]
    pub fn url_as(&self, role: &str, password: Option<&str>) -> String {
        self.options_as(role, password).to_url_lossy().to_string()
    }

    /// A connection of the administrator.
    ///
    /// sqlx logs none of its statements: tests have it set passwords, and what they write themselves
    /// is not what their logs are searched for. Those of other connections are logged.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub async fn admin(&self) -> Result<PgConnection, Error> {
        PgConnection::connect_with(&self.admin_options().disable_statement_logging())
            .await
            .map_err(Error::sql(format!("cannot connect to {}", self.name)))
    }

    /// Drops the database, and throws out whoever is still connected.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn close(mut self) -> Result<(), Error> {
        let result = leftovers::drop_database(&self.server, &self.name).await;
        self.open = result.is_err();
        result
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.open {
            background::drop_database(self.server.clone(), std::mem::take(&mut self.name));
        }
    }
}

/// Seconds since 1970, good enough to tell an old database from a new one.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

//! A PostgreSQL server that tests can have databases in.

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::{
    Connection, Executor, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::sync::OnceCell;

use super::{Binaries, ClusterRegistry, Error, Launcher, Template, TestDatabase, leftovers};

/// Which PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// The server at `DATABASE_URL`, else the PostgreSQL of this machine.
    Default,
    /// PostgreSQL 18, from `TENANCY_PG18_BIN` or as `scripts/postgres-18` fetched it.
    V18,
}

/// A running server. Cheap to clone, and good in every async runtime: it holds no connection.
#[derive(Clone, Debug)]
pub struct Server {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    version: Version,
    admin: PgConnectOptions,
    launcher: Launcher,
    outlives_tests: bool,
    /// The directory of a server that nobody else has.
    home: Option<PathBuf>,
}

static GIVEN: OnceCell<Server> = OnceCell::const_new();
static STARTED: Mutex<Vec<Server>> = Mutex::new(Vec::new());

impl Server {
    /// The server of this version, started if need be. Later calls get the same one.
    ///
    /// Wants to be awaited on a tokio runtime, any one. From the first call on, the process ends when
    /// it logs a secret ([`logwatch`](crate::logwatch)).
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this machine has no such PostgreSQL, with the command that mends
    /// it; others when it does not start or, for `DATABASE_URL`, does not answer.
    pub async fn start(version: Version) -> Result<Self, Error> {
        tenancy_logwatch::watch();
        let given = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
        match (version, given) {
            (Version::Default, Some(url)) => {
                GIVEN.get_or_try_init(|| Self::given(url)).await.cloned()
            }
            _ => tokio::task::spawn_blocking(move || Self::local(version))
                .await
                .map_err(io::Error::other)
                .map_err(Error::io("starting PostgreSQL was interrupted"))?,
        }
    }

    /// Like [`start`](Self::start), but `None`, and a line on stderr, where PostgreSQL is missing
    /// and may be.
    ///
    /// [`Version::Default`] may never be missing. [`Version::V18`] may, unless
    /// `TENANCY_REQUIRE_PG18=1` or, with that variable unset, `CI` is set.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_or_skip(version: Version) -> Result<Option<Self>, Error> {
        let dispensable = version == Version::V18 && !required("TENANCY_REQUIRE_PG18");
        unless_missing(Self::start(version).await, dispensable)
    }

    /// The servers that a suite of SQL should pass on: the default one, and PostgreSQL 18 unless
    /// [skipped](Self::start_or_skip).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn all() -> Result<Vec<Self>, Error> {
        let mut servers = vec![Self::start(Version::Default).await?];
        servers.extend(Self::start_or_skip(Version::V18).await?);
        Ok(servers)
    }

    /// A server of this version that nobody else has: young, without any role of ours, and with
    /// further lines of configuration. It ends with this process. Not for `DATABASE_URL`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn fresh(version: Version, settings: &'static str) -> Result<Self, Error> {
        tenancy_logwatch::watch();
        Self::alone(version, move |registry| registry.with_settings(settings)).await
    }

    /// Like [`fresh`](Self::fresh), but `None`, and a line on stderr, where PostgreSQL is missing and
    /// may be: as for [`start_or_skip`](Self::start_or_skip), and with `DATABASE_URL` set.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn fresh_or_skip(
        version: Version,
        settings: &'static str,
    ) -> Result<Option<Self>, Error> {
        let dispensable = match version {
            Version::Default => env::var_os("DATABASE_URL").is_some_and(|url| !url.is_empty()),
            Version::V18 => !required("TENANCY_REQUIRE_PG18"),
        };
        unless_missing(Self::fresh(version, settings).await, dispensable)
    }

    /// A physical standby of a [fresh](Self::fresh) server. Where there is no `pg_basebackup` of that
    /// version, the server is stopped for the time of the copy.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn standby(&self) -> Result<Self, Error> {
        let primary = self.inner.admin.get_port();
        if binaries(self.version())?.has("pg_basebackup") {
            return Self::alone(self.version(), move |registry| registry.standby_of(primary)).await;
        }
        let data = self.home()?.join("data");
        self.stop().await?;
        let copied = Self::alone(self.version(), move |registry| {
            registry.standby_of(primary).copied_from(data)
        })
        .await;
        self.start_again().await?;
        copied
    }

    /// Which one this is.
    #[must_use]
    pub fn version(&self) -> Version {
        self.inner.version
    }

    /// What `SHOW server_version_num` says, such as 150018.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub async fn version_num(&self) -> Result<i32, Error> {
        let mut admin = self.connect().await?;
        let number = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
            .fetch_one(&mut admin)
            .await
            .map_err(Error::sql("cannot ask for the server's version"))?;
        let _ = admin.close().await;
        Ok(number)
    }

    /// Options of a superuser (with `DATABASE_URL`: of its user) for the maintenance database.
    #[must_use]
    pub fn admin_options(&self) -> PgConnectOptions {
        self.inner.admin.clone()
    }

    /// A new database, copied from the template.
    ///
    /// # Errors
    ///
    /// When the template's build function fails, or the server does.
    pub async fn database(&self, template: &Template) -> Result<TestDatabase, Error> {
        TestDatabase::create(self, template).await
    }

    /// `host:port`, for messages and as an identity.
    #[must_use]
    pub fn address(&self) -> String {
        let admin = &self.inner.admin;
        let socket = admin.get_socket().map(|path| path.display().to_string());
        format!(
            "{}:{}",
            socket.as_deref().unwrap_or(admin.get_host()),
            admin.get_port()
        )
    }

    /// Whether the server stays when the tests end, so that they have to tidy up.
    pub(super) fn outlives_tests(&self) -> bool {
        self.inner.outlives_tests
    }

    /// The directory of a [fresh](Self::fresh) server.
    pub(super) fn home(&self) -> Result<&Path, Error> {
        self.inner
            .home
            .as_deref()
            .ok_or_else(|| Error::Unavailable {
                what: "a server that nobody else has".into(),
                mend: "use `Server::fresh`".into(),
            })
    }

    pub(super) fn launcher(&self) -> &Launcher {
        &self.inner.launcher
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, Error> {
        PgConnection::connect_with(&self.inner.admin)
            .await
            .map_err(Error::sql(format!(
                "cannot connect to PostgreSQL at {}",
                self.address()
            )))
    }

    async fn given(url: String) -> Result<Self, Error> {
        let admin = PgConnectOptions::from_str(&url)
            .map_err(Error::sql("DATABASE_URL is not a PostgreSQL URL"))?;
        let launcher = Launcher::current()?;
        let server = Self::new(Version::Default, admin, launcher, None, true);
        let mut connection = server.connect().await?;
        leftovers::reap(&mut connection).await?;
        let _ = connection.close().await;
        Ok(server)
    }

    fn local(version: Version) -> Result<Self, Error> {
        // Held throughout: the second test of a binary waits for the first one's cluster.
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = started.iter().find(|server| server.version() == version) {
            return Ok(server.clone());
        }
        let cluster = ClusterRegistry::new()?.acquire(&binaries(version)?)?;
        let admin = admin_at(cluster.port);
        let server = Self::new(version, admin, Launcher::current()?, None, false);
        started.push(server.clone());
        Ok(server)
    }

    async fn alone(
        version: Version,
        special: impl FnOnce(ClusterRegistry) -> ClusterRegistry + Send + 'static,
    ) -> Result<Self, Error> {
        let make = move || {
            let own = Launcher::of(std::process::id()).ok_or_else(|| Error::Unavailable {
                what: "a way to look at running processes".into(),
                mend: "install `ps`, or mount /proc".into(),
            })?;
            // A list that nobody else reads. The cluster's cleaner knows its directory without it.
            let list = tempfile::tempdir().map_err(Error::io("cannot create a directory"))?;
            let registry = special(ClusterRegistry::at(list.path(), own.clone())?);
            let cluster = registry.acquire(&binaries(version)?)?;
            let admin = admin_at(cluster.port);
            Ok(Self::new(version, admin, own, Some(cluster.dir), false))
        };
        tokio::task::spawn_blocking(make)
            .await
            .map_err(io::Error::other)
            .map_err(Error::io("starting PostgreSQL was interrupted"))?
    }

    fn new(
        version: Version,
        admin: PgConnectOptions,
        launcher: Launcher,
        home: Option<PathBuf>,
        outlives_tests: bool,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                version,
                admin,
                launcher,
                outlives_tests,
                home,
            }),
        }
    }
}

fn unless_missing(
    started: Result<Server, Error>,
    dispensable: bool,
) -> Result<Option<Server>, Error> {
    match started {
        Err(error) if error.is_unavailable() && dispensable => {
            say_skipped(&error);
            Ok(None)
        }
        other => other.map(Some),
    }
}

pub(super) fn binaries(version: Version) -> Result<Binaries, Error> {
    match version {
        Version::Default => Binaries::installed(),
        Version::V18 => Binaries::v18(),
    }
}

/// Options of the superuser of a throw-away cluster.
fn admin_at(port: u16) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("postgres")
        .database("postgres")
        .ssl_mode(PgSslMode::Disable)
}

/// Runs one statement that takes no parameters. Callers build it from names this crate made.
pub(super) async fn execute(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    connection
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql)))
        .await
        .map(drop)
}

/// Says in the output of the tests what they went without.
pub(crate) fn say_skipped(error: &Error) {
    // Not `eprintln!`, which the test runner hides for tests that pass.
    let _ = writeln!(io::stderr(), "SKIPPED: {error}");
}

/// Whether something that may be missing must not be: as the variable says, else where `CI` is set.
pub(crate) fn required(variable: &str) -> bool {
    let on = |value: String| !matches!(value.as_str(), "" | "0" | "false");
    match env::var(variable) {
        Ok(value) => on(value),
        Err(_) => env::var("CI").is_ok_and(on),
    }
}

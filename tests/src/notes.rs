//! The application that the suites test with: tenants that keep notes.
//!
//! A template database with the schema `tenancy` and a few protected tables, and an engine, a
//! directory and pools over a copy of it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, migrate::Migrator,
    postgres::PgConnectOptions,
};
use tenancy_core::{
    Clock, Identification, Membership, MemoryAuditSink, PermissionRegistry, SystemClock,
    SystemRole, Tenancy, TenancyBuilder, TenantContext, TenantId, TenantRecord, TenantStatus,
    UserId,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    testing::ContextBuilder,
    testing::StoreDirectly as _,
};
use tenancy_sqlx::{
    PgDirectory, SealKey, SessionMode, StartErrorKind, TenantPool, TenantPoolOptions,
    danger::SystemPool,
    schema::{self, Installer, SealWay},
};
use uuid::Uuid;

use crate::{DelayProxy, Server, Template, TestDatabase, logwatch, trail::FORGET_TRAIL};

/// The issuer of the tokens that the engine takes.
pub const ISSUER: &str = "https://login.example.com";
/// The audience of the tokens that the engine takes.
pub const AUDIENCE: &str = "notes";
/// The secret under which the tokens are signed (HS256).
pub const SECRET: &[u8] = b"an HS256 secret that only the tests know";

/// The secret under which tenants are named in sealed sessions.
pub const SEAL_SECRET: &[u8] = b"a seal secret that only the tests know";

/// The pepper of the keys that the suites issue.
pub const PEPPER: &[u8] = b"a pepper that only the tests know";

/// The password of the logins, where the server asks for one.
pub const PASSWORD: &str = "only for tests";

/// The application's migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// A database with the schema `tenancy` and the application's tables.
pub const TEMPLATE: Template = Template::new("notes", |options| {
    Box::pin(async move { build(options, None).await })
});

/// The same, with its sessions sealed by the parameter.
const SEALED_BY_PARAMETER: Template = Template::new("notes sealed by parameter", |options| {
    Box::pin(async move { build(options, Some(SealWay::Parameter)).await })
});

/// The same, with its sessions sealed by rows.
const SEALED_BY_ROW: Template = Template::new("notes sealed by row", |options| {
    Box::pin(async move { build(options, Some(SealWay::Row)).await })
});

async fn build(options: PgConnectOptions, seal: Option<SealWay>) -> anyhow::Result<()> {
    logwatch::issued(PASSWORD);
    let options = sqlx::ConnectOptions::disable_statement_logging(options);
    let mut admin: PgConnection = sqlx::ConnectOptions::connect(&options).await?;
    Installer::new()
        .passwords(PASSWORD, PASSWORD)
        .registry_password(PASSWORD)
        .audit_password(PASSWORD)
        .run_on(&mut admin, &MIGRATIONS)
        .await?;
    if seal.is_some() {
        schema::seal_sessions(&mut admin, &seal_key()?, seal).await?;
    }
    sqlx::Connection::close(admin).await?;
    Ok(())
}

/// The key by which sealed sessions name tenants.
///
/// # Errors
/// None: it is valid.
pub fn seal_key() -> anyhow::Result<SealKey> {
    logwatch::issued(SEAL_SECRET);
    Ok(SealKey::new(1, SEAL_SECRET)?)
}

/// How the suites' sessions are sealed: `TENANCY_SEAL` is `parameter` or `row`, or not set.
///
/// # Errors
/// When it is something else.
pub fn seal_of_the_run() -> anyhow::Result<Option<SealWay>> {
    match std::env::var("TENANCY_SEAL").as_deref() {
        Err(_) | Ok("") => Ok(None),
        Ok("parameter") => Ok(Some(SealWay::Parameter)),
        Ok("row") => Ok(Some(SealWay::Row)),
        Ok(other) => anyhow::bail!("TENANCY_SEAL is `{other}`, and not `parameter` or `row`"),
    }
}

/// An engine over a copy of the template, two tenants with an owner each and another one besides, and the logins.
#[derive(Debug)]
pub struct Notes {
    /// The database.
    pub database: TestDatabase,
    /// How its sessions are sealed.
    pub seal: Option<SealWay>,
    /// The engine.
    pub tenancy: Tenancy,
    /// The engine's audit trail.
    pub audit: Arc<MemoryAuditSink>,
    /// The directory behind the engine.
    pub directory: PgDirectory,
    /// The operators' login.
    pub system: SystemPool,
    /// A tenant, active.
    pub acme: TenantRecord,
    /// Another tenant, active.
    pub globex: TenantRecord,
    /// The owner of `acme`.
    pub alice: UserId,
    /// The owner of `globex`.
    pub bob: UserId,
}

impl Notes {
    /// Starts on a server.
    ///
    /// # Errors
    /// What the server, the installation or the directory says.
    pub async fn start(server: &Server) -> anyhow::Result<Self> {
        Self::start_with(server, Arc::new(SystemClock), |builder| builder).await
    }

    /// Starts on a server, with a clock and further options of the engine.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(
        server: &Server,
        clock: Arc<dyn Clock>,
        options: impl FnOnce(TenancyBuilder) -> TenancyBuilder,
    ) -> anyhow::Result<Self> {
        Self::start_sealed(server, seal_of_the_run()?, clock, options).await
    }

    /// Starts on a server, with sessions sealed in a way or not.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_sealed(
        server: &Server,
        seal: Option<SealWay>,
        clock: Arc<dyn Clock>,
        options: impl FnOnce(TenancyBuilder) -> TenancyBuilder,
    ) -> anyhow::Result<Self> {
        for secret in [SECRET, PEPPER, PASSWORD.as_bytes()] {
            logwatch::issued(secret);
        }
        let template = match seal {
            None => TEMPLATE,
            Some(SealWay::Row) => SEALED_BY_ROW,
            Some(_) => SEALED_BY_PARAMETER,
        };
        let database = server.database(&template).await?;
        let system =
            SystemPool::connect_with(database.options_as("tenancy_system", Some(PASSWORD))).await?;
        let app = database.options_as("tenancy_app", Some(PASSWORD));
        let directory = directory(app, 4, seal).await?.with_system(&system);
        let audit = Arc::new(MemoryAuditSink::new(10_000));
        let builder = builder(directory.clone())?
            .shared_audit(audit.clone())
            .clock(clock);
        let tenancy = options(builder).build()?;

        let (alice, bob) = (UserId::new(), UserId::new());
        let acme = provision(&directory, "acme", "Acme Ltd", alice).await?;
        let globex = provision(&directory, "globex", "Globex Inc", bob).await?;
        // The trail begins with the test.
        let mut admin = database.admin().await?;
        admin.execute(FORGET_TRAIL).await?;
        Ok(Self {
            database,
            seal,
            tenancy,
            audit,
            directory,
            system,
            acme,
            globex,
            alice,
            bob,
        })
    }

    /// The connection options of the service's login.
    #[must_use]
    pub fn app_options(&self) -> PgConnectOptions {
        self.database.options_as("tenancy_app", Some(PASSWORD))
    }

    /// A connection of the service's login that nothing manages: no tenant is set.
    ///
    /// # Errors
    /// What the server says.
    pub async fn app(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.app_options()).await?)
    }

    /// Runs statements as the administrator, past row security.
    ///
    /// # Errors
    /// What the database says.
    pub async fn as_admin(&self, sql: &str) -> anyhow::Result<()> {
        let mut admin = self.database.admin().await?;
        admin.execute(AssertSqlSafe(sql.to_owned())).await?;
        Ok(admin.close().await?)
    }

    /// A pool of the service's login through a proxy.
    ///
    /// # Errors
    /// What the pool's check says.
    pub async fn pool_through(
        &self,
        proxy: &DelayProxy,
        options: TenantPoolOptions,
    ) -> anyhow::Result<TenantPool> {
        let app = proxy.reroute(self.app_options());
        self.connect(app, options).await
    }

    /// Options with the seal key, where sessions are sealed.
    ///
    /// # Errors
    /// None: it is valid.
    pub fn with_key(&self, options: TenantPoolOptions) -> anyhow::Result<TenantPoolOptions> {
        Ok(match self.seal {
            Some(_) => options.seal_key(seal_key()?),
            None => options,
        })
    }

    /// Whether sessions are reset, in each way that a pool can be told: sealed ones always are.
    #[must_use]
    pub const fn resets(&self) -> &'static [bool] {
        if self.seal.is_some() {
            &[true]
        } else {
            &[true, false]
        }
    }

    /// A directory of the service's login.
    ///
    /// # Errors
    /// What its check says.
    pub async fn directory(
        &self,
        options: PgConnectOptions,
        connections: u32,
    ) -> anyhow::Result<PgDirectory> {
        directory(options, connections, self.seal).await
    }

    /// A pool of the service's login.
    ///
    /// # Errors
    /// What the pool's check says.
    pub async fn pool(&self, options: TenantPoolOptions) -> anyhow::Result<TenantPool> {
        self.connect(self.app_options(), options).await
    }

    async fn connect(
        &self,
        app: PgConnectOptions,
        options: TenantPoolOptions,
    ) -> anyhow::Result<TenantPool> {
        let tested = in_tested_mode(self.with_key(options.clone())?)?;
        match tested.connect_with(app.clone(), &self.tenancy).await {
            // It is a test of an option that this mode does not go with.
            Err(refused) if refused.kind() == StartErrorKind::BadOptions => Ok(self
                .with_key(options)?
                .connect_with(app, &self.tenancy)
                .await?),
            connected => Ok(connected?),
        }
    }

    /// A context of a tenant's owner, made without a request.
    #[must_use]
    pub fn context(&self, tenant: &TenantRecord) -> TenantContext {
        ContextBuilder::new(&self.tenancy, tenant.clone()).build()
    }

    /// Counts the rows of a table that a tenant really has, past row security.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count(&self, table: &str, tenant: &TenantRecord) -> anyhow::Result<i64> {
        let mut admin = self.database.admin().await?;
        let sql = format!("SELECT count(*) FROM {table} WHERE tenant_id = $1");
        Ok(sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(tenant.id.as_uuid())
            .fetch_one(&mut admin)
            .await?)
    }

    /// Gives a tenant so many notes, past row security, and makes sure they are there.
    ///
    /// # Errors
    /// What the database says.
    pub async fn seed(&self, tenant: &TenantRecord, notes: i32) -> anyhow::Result<()> {
        let before = self.count("notes", tenant).await?;
        let mut admin = self.database.admin().await?;
        let seed = sqlx::query(
            "INSERT INTO notes (tenant_id, body) SELECT $1, 'note ' || n FROM generate_series(1, $2) n",
        );
        admin
            .execute(seed.bind(tenant.id.as_uuid()).bind(notes))
            .await?;
        let after = self.count("notes", tenant).await?;
        anyhow::ensure!(
            after == before + i64::from(notes),
            "{after} notes after seeding"
        );
        Ok(())
    }

    /// Adds so many active tenants, with an owner and three notes each, past row security.
    ///
    /// # Errors
    /// What the database says; that the notes are not there.
    pub async fn crowd(&self, tenants: i32) -> anyhow::Result<Vec<OneOfMany>> {
        self.as_admin(&format!(
            "INSERT INTO tenancy.tenants (id, slug, name, status)
                 SELECT gen_random_uuid(), 'tenant-' || n, 'A tenant', 'active'
                 FROM generate_series(1, {tenants}) n;
             INSERT INTO tenancy.memberships (tenant_id, user_id, role, status)
                 SELECT id, gen_random_uuid(), 'owner', 'active'
                 FROM tenancy.tenants WHERE slug LIKE 'tenant-%';
             INSERT INTO notes (tenant_id, body)
                 SELECT id, slug || ' ' || n FROM tenancy.tenants, generate_series(1, 3) n
                 WHERE slug LIKE 'tenant-%';
             ANALYZE tenancy.tenants, tenancy.memberships, notes"
        ))
        .await?;
        let select = "SELECT t.id, t.slug, m.user_id, array_agg(n.id) FROM tenancy.tenants t
                      JOIN tenancy.memberships m ON m.tenant_id = t.id
                      JOIN notes n ON n.tenant_id = t.id
                      WHERE t.slug LIKE 'tenant-%' GROUP BY t.id, m.user_id";
        let mut admin = self.database.admin().await?;
        let rows: Vec<(Uuid, String, Uuid, Vec<Uuid>)> =
            sqlx::query_as(select).fetch_all(&mut admin).await?;
        admin.close().await?;
        let complete = rows.iter().filter(|(.., notes)| notes.len() == 3).count();
        anyhow::ensure!(complete == usize::try_from(tenants)?, "{complete} tenants");
        let one = |(tenant, slug, owner, notes)| OneOfMany {
            tenant: TenantId::from_uuid(tenant),
            slug,
            owner: UserId::from_uuid(owner),
            notes,
        };
        Ok(rows.into_iter().map(one).collect())
    }
}

/// One of [`Notes::crowd`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OneOfMany {
    /// Its id.
    pub tenant: TenantId,
    /// Its name in hosts.
    pub slug: String,
    /// Its owner.
    pub owner: UserId,
    /// The notes it has; each one's text starts with the slug and a space.
    pub notes: Vec<Uuid>,
}

/// The options, in the session mode that `TENANCY_TEST_SESSIONS` asks for if it is set: `transaction`,
/// `switched`, `pinned`, or `autocommit`, which is pinned with writes in autocommit.
///
/// `./test --long` runs whole suites so that way. Tests that choose a mode themselves are left out then.
fn in_tested_mode(options: TenantPoolOptions) -> anyhow::Result<TenantPoolOptions> {
    let Ok(mode) = std::env::var("TENANCY_TEST_SESSIONS") else {
        return Ok(options);
    };
    Ok(match mode.as_str() {
        "transaction" => options.sessions(SessionMode::Transaction),
        "switched" => options.sessions(SessionMode::Switched),
        "pinned" => options.sessions(SessionMode::Pinned),
        "autocommit" => options
            .sessions(SessionMode::Pinned)
            .autocommit_writes(true),
        other => anyhow::bail!("TENANCY_TEST_SESSIONS is `{other}`, which is no mode"),
    })
}

/// Runs a test on every server, each time with a database of its own in which `acme` has 3 notes
/// and `globex` has 5.
///
/// # Errors
/// The test's, with the server it failed on.
pub async fn on_every_server(
    test: impl AsyncFn(&Notes) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    on_every_server_sealed(seal_of_the_run()?, test).await
}

/// The same, with sessions sealed in a way or not.
///
/// # Errors
/// As [`on_every_server`].
pub async fn on_every_server_sealed(
    seal: Option<SealWay>,
    test: impl AsyncFn(&Notes) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for server in Server::all().await? {
        let clock = Arc::new(SystemClock);
        let notes = Notes::start_sealed(&server, seal, clock, |builder| builder).await?;
        notes.seed(&notes.acme, 3).await?;
        notes.seed(&notes.globex, 5).await?;
        let version = server.version_num().await?;
        test(&notes)
            .await
            .with_context(|| format!("on PostgreSQL {version}, sealed by {seal:?}"))?;
        notes.database.close().await?;
    }
    Ok(())
}

/// The SQLSTATE of an outcome; `00000` for success, the message of an error that has none.
pub fn sqlstate<T, E>(outcome: Result<T, E>) -> String
where
    E: Into<tenancy_sqlx::Error>,
{
    let Err(error) = outcome else {
        return "00000".into();
    };
    let error = error.into();
    let said = error
        .driver_error()
        .and_then(sqlx::Error::as_database_error);
    match said.and_then(|said| said.code()) {
        Some(code) => code.into_owned(),
        None => error.to_string(),
    }
}

/// Waits until so many connections of a pool have come back and been tidied up.
///
/// # Errors
/// When that takes more than 10 seconds.
pub async fn at_rest(pool: &impl fmt::Debug, connections: usize) -> anyhow::Result<()> {
    let idle = format!("idle: {connections},");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !format!("{pool:?}").contains(&idle) {
        anyhow::ensure!(Instant::now() < deadline, "{pool:?} is never at rest");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Tries until it succeeds: a database that was out of reach is not asked again at once.
///
/// # Errors
/// The last try's, when none has succeeded within 10 seconds.
pub async fn comes_back<T, E>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match attempt().await {
            Err(_) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            outcome => return outcome,
        }
    }
}

/// An engine with the suites' rules over a directory, to be completed and built.
///
/// # Errors
/// None: the configuration is valid.
pub fn builder(directory: PgDirectory) -> anyhow::Result<TenancyBuilder> {
    Ok(Tenancy::builder(directory)
        .identification(identification())
        .authenticator(authenticator()?)
        .permissions(permissions()?))
}

async fn directory(
    options: PgConnectOptions,
    connections: u32,
    seal: Option<SealWay>,
) -> anyhow::Result<PgDirectory> {
    Ok(match seal {
        Some(_) => PgDirectory::connect_sealed(options, connections, &seal_key()?).await?,
        None => PgDirectory::connect_with(options, connections).await?,
    })
}

async fn provision(
    directory: &PgDirectory,
    slug: &str,
    name: &str,
    owner: UserId,
) -> anyhow::Result<TenantRecord> {
    let tenant = TenantRecord::new(slug.parse()?, name).with_status(TenantStatus::Active);
    directory.create_tenant(&tenant).await?;
    // With another owner besides, so that the one may go.
    for owner in [owner, UserId::new()] {
        directory
            .put_membership(&Membership::new(tenant.id, owner, SystemRole::Owner.name()))
            .await?;
    }
    let stored = tenancy_core::TenantDirectory::find_tenant(directory, &tenant.id.into()).await?;
    stored.ok_or_else(|| anyhow::anyhow!("the tenant that was just stored is not found"))
}

/// The rules of identification that the suites use.
pub fn identification() -> Identification {
    Identification::new()
        .header("x-organization-id")
        .subdomains_of("notes.example")
        .custom_domains()
        .path_prefix("/t")
        .project_header("x-project-id")
}

/// The permissions that the suites use.
///
/// # Errors
/// None: they are valid.
pub fn permissions() -> anyhow::Result<PermissionRegistry> {
    Ok(PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .permission("tenant:manage", SystemRole::Owner)
        .build()?)
}

/// Takes tokens of [`ISSUER`] for [`AUDIENCE`].
///
/// # Errors
/// None: the configuration is valid.
pub fn authenticator() -> anyhow::Result<JwtAuthenticator> {
    let key = VerificationKey::hmac(Algorithm::HS256, SECRET)?;
    Ok(JwtAuthenticator::builder(ISSUER, AUDIENCE)
        .key(key)
        .build()?)
}

/// A token of a user that the engine takes, good for an hour.
///
/// # Errors
/// The clock stands before 1970.
pub fn token(user: UserId) -> anyhow::Result<String> {
    let expires = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 3600;
    let claims = serde_json::json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": user, "exp": expires });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?;
    logwatch::issued(&token);
    Ok(token)
}

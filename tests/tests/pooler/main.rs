//! D17: through a real PgBouncer. What one tenant leaves in a session of the server is not met by
//! another, every answer is for its own question, and what can't work is refused with the setting to
//! change.

mod answers;
mod faults;
mod later;
mod modes;
mod refusals;
mod registry;
mod residue;
mod tenants;

use std::fmt;

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::{
    PgBouncer, PgBouncerVersion, Server, Version,
    notes::{Notes, PASSWORD},
};

/// A PgBouncer, and how it is set up.
#[derive(Clone, Copy, Debug)]
struct Kind {
    version: PgBouncerVersion,
    /// Whether it keeps track of prepared statements.
    keeps_statements: bool,
}

impl Kind {
    /// Each that is here: an old one, a new one as it comes, a new one that was told to be as the old
    /// one. In front of another server than the default one, a new one as it comes.
    async fn all() -> anyhow::Result<Vec<(Self, Server)>> {
        let mut kinds = Vec::new();
        for server in Server::all().await? {
            for version in PgBouncerVersion::all()? {
                for keeps_statements in [true, false] {
                    let (is_old, is_default) = (
                        version == PgBouncerVersion::Old,
                        server.version() == Version::Default,
                    );
                    if is_old && keeps_statements || !is_default && !keeps_statements {
                        continue;
                    }
                    let kind = Self {
                        version,
                        keeps_statements,
                    };
                    kinds.push((kind, server.clone()));
                }
            }
        }
        Ok(kinds)
    }

    /// Starts it in a mode, with further settings.
    async fn start(
        self,
        server: &Server,
        mode: &str,
        sessions: u32,
        settings: &str,
    ) -> anyhow::Result<PgBouncer> {
        let prepared = match (self.version, self.keeps_statements) {
            (PgBouncerVersion::Old, _) => "",
            (_, true) => "max_prepared_statements = 200",
            (_, false) => "max_prepared_statements = 0",
        };
        let settings =
            format!("pool_mode = {mode}\ndefault_pool_size = {sessions}\n{prepared}\n{settings}");
        let logins = [("tenancy_app", PASSWORD), ("tenancy_system", PASSWORD)];
        Ok(PgBouncer::start(self.version, server, &logins, &settings).await?)
    }
}

/// A PgBouncer in transaction mode, and the application behind it.
struct Through<'a> {
    notes: &'a Notes,
    bouncer: &'a PgBouncer,
    kind: Kind,
}

impl Through<'_> {
    fn app_options(&self) -> PgConnectOptions {
        self.bouncer.reroute(self.notes.app_options())
    }

    /// A pool of the library.
    async fn pool(&self, options: TenantPoolOptions) -> anyhow::Result<TenantPool> {
        let app = self.app_options();
        Ok(options.connect_with(app, &self.notes.tenancy).await?)
    }

    /// A connection that the library knows nothing of.
    async fn raw(&self) -> anyhow::Result<PgConnection> {
        let app = self.app_options().extra_float_digits(None);
        Ok(PgConnection::connect_with(&app).await?)
    }
}

impl fmt::Debug for Through<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// Runs a test through every kind of PgBouncer in transaction mode, with so many sessions for all of
/// its clients, each time with a database of its own in which `acme` has 3 notes and `globex` has 5.
async fn through_every_kind(
    sessions: u32,
    test: impl AsyncFn(&Through<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for (kind, server) in Kind::all().await? {
        let notes = Notes::start(&server).await?;
        notes.seed(&notes.acme, 3).await?;
        notes.seed(&notes.globex, 5).await?;
        let bouncer = kind.start(&server, "transaction", sessions, "").await?;
        let through = Through {
            notes: &notes,
            bouncer: &bouncer,
            kind,
        };
        test(&through)
            .await
            .with_context(|| format!("through {kind:?} to {:?}", server.version()))?;
        drop(bouncer);
        notes.database.close().await?;
    }
    Ok(())
}

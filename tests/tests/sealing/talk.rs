//! A session of the service's login whose seals are made here, by the description of their format.

use std::ops::{Deref, DerefMut};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection, postgres::PgConnectOptions,
};
use tenancy_tests::notes::{Notes, SEAL_SECRET, sqlstate};
use uuid::Uuid;

/// What a seal is over, and with which key.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    pub(crate) challenge: String,
    pub(crate) counter: i64,
    pub(crate) tenant: Uuid,
    pub(crate) project: Option<Uuid>,
    /// Microseconds since 1970.
    pub(crate) expires: i64,
    pub(crate) key: i32,
}

impl Seal {
    pub(crate) fn code(&self, secret: &[u8]) -> anyhow::Result<String> {
        let project = self.project.map(|project| project.simple().to_string());
        let text = format!(
            "tenancy seal 1,{},{},{},{},{}",
            self.challenge,
            self.counter,
            self.tenant.simple(),
            project.unwrap_or_default(),
            self.expires
        );
        let mut keyed = Hmac::<Sha256>::new_from_slice(secret)?;
        keyed.update(text.as_bytes());
        let code = keyed.finalize().into_bytes();
        Ok(code.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The statement that presents it with a code.
    pub(crate) fn with(&self, code: &str) -> String {
        let project = self
            .project
            .map_or("NULL".into(), |project| format!("'{project}'"));
        let Self {
            challenge,
            counter,
            tenant,
            expires,
            key,
            ..
        } = self;
        format!(
            "SELECT tenancy_seal.enter('{challenge}', {counter}, '{tenant}', {project}, {expires}, {key}, \
             decode('{code}', 'hex'))"
        )
    }

    pub(crate) fn sql(&self) -> anyhow::Result<String> {
        Ok(self.with(&self.code(SEAL_SECRET)?))
    }
}

/// A session that was opened.
pub(crate) struct Session {
    connection: PgConnection,
    tenants: [Uuid; 2],
    pub(crate) challenge: String,
    at: i64,
    begin: &'static str,
}

impl Session {
    pub(crate) async fn open(notes: &Notes) -> anyhow::Result<Self> {
        Self::on(notes.app().await?, notes, "BEGIN READ WRITE").await
    }

    /// On a standby, at the options of the service's login there.
    pub(crate) async fn open_at(standby: &PgConnectOptions, notes: &Notes) -> anyhow::Result<Self> {
        Self::on(standby.connect().await?, notes, "BEGIN").await
    }

    async fn on(
        mut connection: PgConnection,
        notes: &Notes,
        begin: &'static str,
    ) -> anyhow::Result<Self> {
        let (challenge, at) = open(&mut connection).await?;
        Ok(Self {
            connection,
            begin,
            tenants: [&notes.acme, &notes.globex].map(|tenant| tenant.id.as_uuid()),
            challenge,
            at,
        })
    }

    /// Opens it anew.
    pub(crate) async fn reopen(&mut self) -> anyhow::Result<()> {
        (self.challenge, self.at) = open(&mut self.connection).await?;
        Ok(())
    }

    /// A seal for a tenant that is good for a minute.
    pub(crate) fn seal(&self, counter: i64, tenant: Uuid) -> Seal {
        Seal {
            challenge: self.challenge.clone(),
            counter,
            tenant,
            project: None,
            expires: self.at + 60_000_000,
            key: 1,
        }
    }

    /// Presents a seal as a pool does; the SQLSTATE.
    pub(crate) async fn present(&mut self, statement: &str) -> anyhow::Result<String> {
        let batch = format!("{}; {statement}; COMMIT", self.begin);
        let outcome = self.connection.execute(AssertSqlSafe(batch)).await;
        let state = sqlstate(outcome);
        if state != "00000" {
            self.connection.execute("ROLLBACK").await?;
        }
        Ok(state)
    }

    /// The tenants whose notes it sees, with their number, whomever it sets.
    pub(crate) async fn seen(&mut self) -> anyhow::Result<Vec<(Uuid, i64)>> {
        let mut all = Vec::new();
        for tenant in self.tenants {
            let set = format!("SELECT set_config('tenancy.tenant_id', '{tenant}', false)");
            self.connection.execute(AssertSqlSafe(set)).await?;
            all.extend(self.seen_now().await?);
        }
        Ok(all)
    }

    async fn seen_now(&mut self) -> anyhow::Result<Vec<(Uuid, i64)>> {
        Ok(
            sqlx::query_as("SELECT tenant_id, count(*) FROM notes GROUP BY 1")
                .persistent(false)
                .fetch_all(&mut self.connection)
                .await?,
        )
    }
}

async fn open(connection: &mut PgConnection) -> anyhow::Result<(String, i64)> {
    Ok(
        sqlx::query_as("SELECT challenge, at FROM tenancy_seal.open()")
            .fetch_one(connection)
            .await?,
    )
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

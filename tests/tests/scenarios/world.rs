//! Tenants, users and their notes, and a service over them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tenancy_core::{
    AuditEntry, Clock, ManualClock, Membership, TenantId, TenantRecord, TenantStatus, UserId,
    testing::StoreDirectly as _,
};
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::{
    Framework, Server, Serving,
    notes::{self, Notes},
};

use crate::{
    actix_service, axum_service,
    credentials::Credentials,
    engines::{self, Engines},
    issuers,
    key_server::KeyServer,
    keys,
    scenario::{Credential, Shape},
    sign_ons, tokens,
};

/// Everything that a scenario needs beside a service.
pub(crate) struct World {
    pub(crate) notes: Notes,
    pub(crate) engines: Engines,
    pub(crate) key_server: KeyServer,
    pub(crate) clock: Arc<ManualClock>,
    of_shapes: HashMap<Shape, Engines>,
    credentials: Credentials,
    tenants: BTreeMap<&'static str, TenantId>,
    admin: PgConnection,
}

/// Who is what where. `alice` owns `acme`, `bob` owns `globex`. `dana` is whom `acme`'s single
/// sign-on knows by that name, and `gina` whom that of `globex` does.
const MEMBERSHIPS: &[(&str, &str, &str)] = &[
    ("acme", "vera", "viewer"),
    ("acme", "carol", "member"),
    ("globex", "carol", "member"),
    ("acme", "dana", "member"),
    ("globex", "dana", "member"),
    ("acme", "gina", "member"),
    ("globex", "gina", "member"),
    ("asleep", "alice", "owner"),
    ("new", "alice", "owner"),
];

impl World {
    pub(crate) async fn start(server: &Server) -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::now_frozen());
        let notes = Notes::start_with(server, clock.clone(), |builder| builder).await?;
        let other = notes::builder(notes.directory.clone())?.build()?;
        let mut users = BTreeMap::from([("alice", notes.alice), ("bob", notes.bob)]);
        for name in ["vera", "carol", "mallory"] {
            users.insert(name, UserId::new());
        }
        let key_server = KeyServer::start().await?;
        issuers::publish(&key_server);
        for (name, issuer) in [("dana", issuers::SSO), ("gina", issuers::NEW_SSO)] {
            users.insert(name, UserId::derive(&key_server.issuer(issuer), name));
        }
        let mut tenants = BTreeMap::from([("acme", notes.acme.id), ("globex", notes.globex.id)]);
        for (slug, status) in [
            ("asleep", TenantStatus::Suspended),
            ("new", TenantStatus::Provisioning),
        ] {
            let tenant = TenantRecord::new(slug.parse()?, slug).with_status(status);
            notes.directory.create_tenant(&tenant).await?;
            tenants.insert(slug, tenant.id);
        }
        for (tenant, user, role) in MEMBERSHIPS {
            let membership = Membership::new(tenants[tenant], users[user], role.parse()?);
            notes.directory.put_membership(&membership).await?;
        }
        notes
            .directory
            .bind_domain(notes.acme.id, &"notes.acme.example".parse()?)
            .await?;
        notes
            .directory
            .bind_domain(tenants["asleep"], &"notes.asleep.example".parse()?)
            .await?;
        let mut admin = notes.database.admin().await?;
        admin.execute(sign_ons::TABLE).await?;
        let of_shapes = engines::by_shape(&notes, &other, &clock, &key_server)?;
        let with_keys = &of_shapes[&Shape::Keys].tenancy;
        let keys = keys::issue(with_keys, &clock, &users, &tenants).await?;
        let tokens = tokens::issue(&key_server, &users, Clock::now(&*clock));
        let engines = Engines {
            tenancy: notes.tenancy.clone(),
            other,
        };
        let credentials = Credentials {
            clock: clock.clone(),
            users,
            keys,
            tokens,
        };
        Ok(Self {
            notes,
            engines,
            key_server,
            clock,
            of_shapes,
            credentials,
            tenants,
            admin,
        })
    }

    pub(crate) async fn serve(
        &self,
        framework: Framework,
        shape: Shape,
    ) -> anyhow::Result<Serving> {
        // Of two connections: what one request leaves behind, the next one meets.
        let options = TenantPoolOptions::new().max_connections(2);
        let tenancy = &self.engines_of(shape).tenancy;
        let pool = options
            .connect_with(self.notes.app_options(), tenancy)
            .await?;
        self.serve_with(framework, shape, pool).await
    }

    pub(crate) async fn serve_with(
        &self,
        framework: Framework,
        shape: Shape,
        pool: TenantPool,
    ) -> anyhow::Result<Serving> {
        match framework {
            Framework::Axum => axum_service::serve(shape, self.engines_of(shape), pool).await,
            Framework::Actix => actix_service::serve(shape, self.engines_of(shape), pool).await,
        }
    }

    fn engines_of(&self, shape: Shape) -> &Engines {
        self.of_shapes.get(&shape).unwrap_or(&self.engines)
    }

    /// Puts the notes back, and lets the windows pass in which refusals are sampled.
    pub(crate) async fn reset(&mut self) -> anyhow::Result<()> {
        self.clock.advance(Duration::from_secs(60));
        self.admin.execute("TRUNCATE notes").await?;
        for (tenant, count) in [
            ("acme", crate::scenario::ROWS.0),
            ("globex", crate::scenario::ROWS.1),
        ] {
            for number in 1..=count {
                let insert = "INSERT INTO notes (id, tenant_id, body) VALUES ($1::uuid, $2, $3)";
                let insert = sqlx::query(insert)
                    .bind(note_id(tenant, number))
                    .bind(self.tenants[tenant].as_uuid())
                    .bind(format!("{tenant}'s note {number}"));
                self.admin.execute(insert).await?;
            }
        }
        anyhow::ensure!(self.rows().await? == crate::scenario::ROWS);
        Ok(())
    }

    /// How many notes there really are, past row security.
    pub(crate) async fn rows(&mut self) -> anyhow::Result<(i64, i64)> {
        let mut counts = [0; 2];
        for (count, tenant) in counts.iter_mut().zip(["acme", "globex"]) {
            *count = sqlx::query_scalar("SELECT count(*) FROM notes WHERE tenant_id = $1")
                .bind(self.tenants[tenant].as_uuid())
                .fetch_one(&mut self.admin)
                .await?;
        }
        Ok((counts[0], counts[1]))
    }

    /// Whose notes have been overwritten, past row security.
    pub(crate) async fn overwritten(&mut self) -> anyhow::Result<Vec<String>> {
        let select =
            "SELECT DISTINCT t.slug FROM notes n JOIN tenancy.tenants t ON t.id = n.tenant_id
                      WHERE n.body = 'overwritten'";
        Ok(sqlx::query_scalar(select)
            .fetch_all(&mut self.admin)
            .await?)
    }

    /// Waits until so many transactions of the service's login are open.
    pub(crate) async fn wait_for_begun(&mut self, transactions: i64) -> anyhow::Result<()> {
        let count = "SELECT count(*) FROM pg_stat_activity
                     WHERE usename = 'tenancy_app' AND state LIKE 'idle in transaction%'
                       AND datname = current_database()";
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let begun: i64 = sqlx::query_scalar(count).fetch_one(&mut self.admin).await?;
            if begun >= transactions {
                return Ok(());
            }
            anyhow::ensure!(
                std::time::Instant::now() < deadline,
                "{begun} transactions are open"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What another process of the application does to its tables.
    pub(crate) async fn elsewhere(&mut self, sql: &'static str) -> anyhow::Result<()> {
        let new = self.key_server.issuer(issuers::NEW_SSO);
        let sql = sql.replace("{issuer}", &new);
        let sql = String::from_utf8(self.fill(sql.as_bytes()))?;
        self.admin.execute(sqlx::AssertSqlSafe(sql)).await?;
        Ok(())
    }

    pub(crate) fn audit_len(&self) -> usize {
        self.notes.audit.entries().len()
    }

    /// What has been audited since, as `action reason actor tenant`.
    pub(crate) fn audited_since(&self, length: usize) -> Vec<String> {
        let entries = self.notes.audit.entries();
        entries
            .iter()
            .skip(length)
            .map(|entry| self.line(entry))
            .collect()
    }

    fn line(&self, entry: &AuditEntry) -> String {
        let slug = |id: TenantId| {
            let mut found = self.tenants.iter().filter(|(_, known)| **known == id);
            found.next().map_or("unknown", |(slug, _)| *slug)
        };
        format!(
            "{} {} {} {}",
            entry.action,
            entry.reason.as_deref().unwrap_or("-"),
            entry.actor.as_ref().map_or("-", |actor| actor.kind()),
            entry.tenant.map_or("-", slug),
        )
    }

    /// Fills in ids: `{acme}` is a tenant's, `{acme:1}` a note's.
    pub(crate) fn fill(&self, text: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(text) else {
            return text.to_vec();
        };
        let mut text = text.to_owned();
        for (slug, id) in &self.tenants {
            text = text.replace(&format!("{{{slug}}}"), &id.to_string());
            for number in 1..=9 {
                let place = format!("{{{slug}:{number}}}");
                text = text.replace(&place, &note_id(slug, number));
            }
        }
        text.into_bytes()
    }

    /// The fields that carry a credential.
    pub(crate) fn credential(
        &self,
        credential: Credential,
    ) -> anyhow::Result<Vec<(&'static str, String)>> {
        self.credentials.fields(credential)
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.admin.close().await?;
        Ok(self.notes.database.close().await?)
    }
}

fn note_id(tenant: &str, number: i64) -> String {
    let of_tenant = tenant
        .bytes()
        .fold(0_u32, |sum, byte| sum * 31 + u32::from(byte));
    format!(
        "00000000-0000-4000-8000-{:04x}{number:08}",
        of_tenant % 0xffff
    )
}

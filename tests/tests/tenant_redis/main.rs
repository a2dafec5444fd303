//! What tenants keep in Redis: every type, hostile names, flushes, erasure, and what the logins may do.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod answers;
mod cache;
mod cached_keys;
mod channels;
mod erasure;
mod flushes;
mod locks;
mod logins;
mod names;
mod news;
mod sessions;
mod streams;
mod throttles;
mod types;

use std::{sync::Arc, time::Duration};

use tenancy_core::{MemoryAuditSink, MemoryDirectory, Tenancy, TenantContext, UserId, testing};
use tenancy_redis::{
    RedisClient, TenantData, TenantRedis,
    danger::{self, RawRedis, RawReply},
};
use tenancy_tests::{RedisServer, patient_client as patient};
use testing::{ContextBuilder, TestTenant, TestTokens};

/// How long a test waits for what has to come.
const LONG: Duration = Duration::from_secs(60);

/// A Redis of one's own, an engine, and two tenants with their data.
struct World {
    server: RedisServer,
    engine: Tenancy,
    audit: Arc<MemoryAuditSink>,
    client: RedisClient,
    redis: TenantRedis,
    acme: TenantContext,
    globex: TenantContext,
}

fn engine(audit: &Arc<MemoryAuditSink>) -> anyhow::Result<Tenancy> {
    let tokens = TestTokens::new("notes").verifier().build()?;
    let engine = Tenancy::builder(MemoryDirectory::new()).authenticator(tokens);
    Ok(engine.shared_audit(audit.clone()).build()?)
}

async fn context(engine: &Tenancy, slug: &str) -> anyhow::Result<TenantContext> {
    let tenant = TestTenant::create(engine, slug).await?;
    Ok(ContextBuilder::new(engine, tenant.record().clone()).build())
}

impl World {
    async fn new() -> anyhow::Result<Self> {
        Self::on(RedisServer::start().await?).await
    }

    async fn on(server: RedisServer) -> anyhow::Result<Self> {
        let audit = Arc::new(MemoryAuditSink::new(1_000));
        let engine = engine(&audit)?;
        let client = patient(&server.url()).build()?;
        Ok(Self {
            redis: TenantRedis::new(&client, &engine),
            acme: context(&engine, "acme").await?,
            globex: context(&engine, "globex").await?,
            server,
            engine,
            audit,
            client,
        })
    }

    fn acme(&self) -> TenantData {
        self.redis.tenant(&self.acme).unwrap()
    }

    fn globex(&self) -> TenantData {
        self.redis.tenant(&self.globex).unwrap()
    }

    async fn raw(&self) -> anyhow::Result<RawRedis> {
        Ok(danger::raw(&self.engine, &self.client, UserId::new(), "a test").await?)
    }

    /// All names, with what each holds and whether it ends.
    async fn dump(&self) -> anyhow::Result<Vec<(String, RawReply, bool)>> {
        let raw = self.raw().await?;
        let mut found = Vec::new();
        for name in list(raw.ask(&["KEYS", "*"]).await?) {
            let name = bytes(name);
            let dump = raw.ask(&[b"DUMP", &*name]).await?;
            let ends = raw.ask(&[b"PTTL", &*name]).await? != RawReply::Int(-1);
            found.push((String::from_utf8_lossy(&name).into_owned(), dump, ends));
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }
}

fn list(reply: RawReply) -> Vec<RawReply> {
    match reply {
        RawReply::List(list) => list,
        other => panic!("this is no list: {other:?}"),
    }
}

fn bytes(reply: RawReply) -> Vec<u8> {
    match reply {
        RawReply::Bytes(bytes) => bytes,
        other => panic!("these are no bytes: {other:?}"),
    }
}

/// The texts of what is stored.
fn texts(stored: &[tenancy_redis::Stored]) -> Vec<&str> {
    stored.iter().map(|each| each.text().unwrap()).collect()
}

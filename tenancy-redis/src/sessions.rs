//! `RedisSessions`: sessions of browsers, for the session layers of either framework.

#[cfg(feature = "actix-session")]
mod actix;
#[cfg(feature = "tower-sessions")]
mod tower;

use std::{
    fmt::{self, Write as _},
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::Value;
use sha2::{Digest as _, Sha256};
use tenancy_core::TenantId;

use crate::{
    RedisClient, RedisError, RedisErrorKind, Stored, TenantData,
    data::{millis, optional},
    layout,
    link::Link,
    script::Script,
};

/// One command on one key.
static COMMAND: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))"));

/// Sessions of browsers in Redis: a store for `tower-sessions` 0.14 (feature `tower-sessions`) and for `actix-session` 0.11
/// (feature `actix-session`). Cheap to clone.
///
/// A session is loaded before it is known which tenant a request is for, and a user may be a member of several. So a
/// service has one store, [`new`](Self::new), whose sessions are no tenant's. Where each tenant has a session layer of its
/// own, [`of_tenant`](Self::of_tenant) keeps the sessions apart: the cookie of one tenant opens nothing at another's, and
/// they are erased with the tenant.
///
/// A session that was deleted stays deleted: a request that had loaded it before writes it no more.
///
/// ```no_run
/// # use tenancy_redis::RedisError;
/// use tenancy_redis::{RedisClient, RedisSessions};
///
/// let client = RedisClient::new("redis://127.0.0.1:6379")?;
/// let sessions = RedisSessions::new(&client);
/// // `SessionManagerLayer::new(sessions)`, or `SessionMiddleware::builder(sessions, key)`
/// # let _ = sessions;
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
///
/// # Security
/// Redis has the SHA-256 of a session's id and not the id, so that nobody who reads there has a cookie that is good.
/// What a session holds is not encrypted. A session says who a browser's user is: let the engine admit each
/// request all the same.
#[derive(Clone)]
pub struct RedisSessions {
    link: Arc<Link>,
    tenant: Option<TenantId>,
}

impl RedisSessions {
    /// The sessions of a whole service.
    #[must_use]
    pub fn new(client: &RedisClient) -> Self {
        Self {
            link: Arc::new(client.beside()),
            tenant: None,
        }
    }

    /// The sessions of one tenant. A [flush](TenantData::flush) does not end them.
    #[must_use]
    pub fn of_tenant(data: &TenantData) -> Self {
        Self {
            link: Arc::new(data.redis().client().beside()),
            tenant: Some(data.context().tenant_id()),
        }
    }

    fn key(&self, session: &str) -> String {
        let mut digest = String::with_capacity(64);
        for byte in Sha256::digest(session.as_bytes()) {
            // A string takes whatever is written.
            let _ = write!(digest, "{byte:02x}");
        }
        match self.tenant {
            Some(tenant) => layout::of_tenant(tenant, 's') + &digest,
            None => layout::session(&digest),
        }
    }

    /// Adds a session; whether there was none of this id.
    async fn add(&self, session: &str, value: &[u8], time: Duration) -> Result<bool, RedisError> {
        self.set(session, value, time, "NX").await
    }

    /// Replaces a session; whether there still is one.
    async fn replace(
        &self,
        session: &str,
        value: &[u8],
        time: Duration,
    ) -> Result<bool, RedisError> {
        self.set(session, value, time, "XX").await
    }

    async fn set(
        &self,
        session: &str,
        value: &[u8],
        time: Duration,
        when: &str,
    ) -> Result<bool, RedisError> {
        let time = millis(time).map_err(RedisError::invalid)?.to_string();
        let words = [b"SET", value, b"PX", time.as_bytes(), when.as_bytes()];
        let keys = [self.key(session)];
        let answer = match when {
            // Whether it was there before can't be asked twice.
            "NX" => self.link.eval_once(&COMMAND, &keys, &words).await?,
            _ => self.link.eval(&COMMAND, &keys, &words).await?,
        };
        Ok(answer != Value::Nil)
    }

    /// Moves the end of a session.
    #[cfg_attr(
        not(feature = "actix-session"),
        allow(dead_code, reason = "tower-sessions saves instead")
    )]
    async fn prolong(&self, session: &str, time: Duration) -> Result<(), RedisError> {
        let time = millis(time).map_err(RedisError::invalid)?.to_string();
        let words = ["PEXPIRE", &time];
        self.link
            .eval(&COMMAND, &[self.key(session)], &words)
            .await
            .map(drop)
    }

    async fn find(&self, session: &str) -> Result<Option<Stored>, RedisError> {
        optional(
            self.link
                .eval(&COMMAND, &[self.key(session)], &["GET"])
                .await?,
        )
    }

    async fn remove(&self, session: &str) -> Result<(), RedisError> {
        let removed = self
            .link
            .eval(&COMMAND, &[self.key(session)], &["UNLINK"])
            .await;
        removed.map(drop)
    }
}

/// A time of nothing, or less, is over: Redis takes none of it.
fn is_over(error: &RedisError) -> bool {
    error.kind() == RedisErrorKind::Invalid
}

impl fmt::Debug for RedisSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSessions")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

//! `TenantRedis`: a Redis in which each tenant of an engine has names of its own.

use std::{fmt, sync::Arc};

use tenancy_core::{Tenancy, TenantContext};

use crate::{
    RedisClient, RedisCounters, RedisError, RedisErrorKind, TenantData, link::Link,
    subscriber::Subscriber,
};

/// A Redis in which each tenant has names of its own. Cheap to clone.
///
/// It has a connection of its own: large values do not delay what others ask through the same client.
///
/// ```no_run
/// # use tenancy_core::{Tenancy, TenantContext};
/// use tenancy_redis::{RedisClient, TenantRedis};
///
/// // Once, at start.
/// fn at_start(tenancy: &Tenancy) -> Result<TenantRedis, Box<dyn std::error::Error>> {
///     let client = RedisClient::new("redis://127.0.0.1:6379")?;
///     Ok(TenantRedis::new(&client, tenancy))
/// }
///
/// // In each handler.
/// async fn greeting(
///     redis: &TenantRedis,
///     context: &TenantContext,
/// ) -> Result<String, Box<dyn std::error::Error>> {
///     let data = redis.tenant(context)?;
///     match data.get("greeting").await? {
///         Some(greeting) => Ok(greeting.text()?.to_owned()),
///         None => Ok("Hello".to_owned()),
///     }
/// }
/// ```
///
/// # Security
/// The only way to a tenant's data is a context that the same engine has admitted. What a Redis is trusted with, and
/// which commands its login needs, is in [`RedisLogin`](crate::RedisLogin).
#[derive(Clone)]
pub struct TenantRedis {
    inner: Arc<Inner>,
}

struct Inner {
    client: RedisClient,
    link: Link,
    subscriber: Subscriber,
    counters: RedisCounters,
    engine: Tenancy,
}

impl TenantRedis {
    /// A Redis for the tenants of an engine. Connects to nothing yet.
    #[must_use]
    pub fn new(client: &RedisClient, tenancy: &Tenancy) -> Self {
        Self {
            inner: Arc::new(Inner {
                client: client.clone(),
                link: client.beside(),
                subscriber: Subscriber::default(),
                counters: RedisCounters::new(client),
                engine: tenancy.clone(),
            }),
        }
    }

    /// The Redis as one tenant sees it.
    ///
    /// # Errors
    /// [`RedisErrorKind::WrongEngine`] if the context was made by another engine.
    pub fn tenant(&self, context: &TenantContext) -> Result<TenantData, RedisError> {
        if !self.inner.engine.is(context.tenancy()) {
            return Err(RedisError::new(
                RedisErrorKind::WrongEngine,
                "the context is of another engine; make `TenantRedis` with the engine that admits",
            ));
        }
        Ok(TenantData::new(self.clone(), context.clone()))
    }

    pub(crate) fn counters(&self) -> &RedisCounters {
        &self.inner.counters
    }

    pub(crate) fn link(&self) -> &Link {
        &self.inner.link
    }

    pub(crate) fn subscriber(&self) -> &Subscriber {
        &self.inner.subscriber
    }

    pub(crate) fn client(&self) -> &RedisClient {
        &self.inner.client
    }
}

impl fmt::Debug for TenantRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantRedis")
            .field("client", &self.inner.client)
            .finish_non_exhaustive()
    }
}

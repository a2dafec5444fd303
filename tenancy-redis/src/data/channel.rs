//! Channels of a tenant: what is told to those who listen now.

use std::fmt;

use tokio::sync::mpsc;

use super::{LONGEST_NAME, Stored, TenantData, int};
use crate::{RedisError, layout, subscriber::PUBLISH};

/// Hears a channel of a tenant's, from [`TenantData::subscribe`] on. All subscriptions of a process share one connection.
///
/// ```no_run
/// # async fn example(data: &tenancy_redis::TenantData) -> Result<(), tenancy_redis::RedisError> {
/// let mut orders = data.subscribe("orders").await?;
/// loop {
///     let order = orders.next().await?;
///     println!("{}", order.text()?);
/// }
/// # }
/// ```
#[must_use = "nothing is heard any more once this is dropped"]
pub struct Subscription {
    heard: mpsc::Receiver<Vec<u8>>,
}

impl Subscription {
    pub(crate) const fn new(heard: mpsc::Receiver<Vec<u8>>) -> Self {
        Self { heard }
    }

    /// Waits for the next message. Safe to cancel: nothing is lost by it.
    ///
    /// # Errors
    /// [`RedisErrorKind::Unavailable`](crate::RedisErrorKind::Unavailable) when the connection was lost, or when 1,000
    /// messages waited for this reader. What was told since is not heard by this subscription, and nothing more will be:
    /// read what the messages are about, and [subscribe](TenantData::subscribe) again.
    pub async fn next(&mut self) -> Result<Stored, RedisError> {
        let heard = self.heard.recv().await;
        heard.map(Stored::from).ok_or_else(|| {
            RedisError::unavailable("the subscription has ended, and messages may be lost")
        })
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl TenantData {
    /// Tells a message to those who listen to a channel of the tenant's now; to nobody else, and nobody keeps it: a
    /// [stream](Self::stream) is for what must arrive. A channel's name is text. `PUBLISH`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn publish(
        &self,
        channel: impl AsRef<str>,
        message: impl AsRef<[u8]>,
    ) -> Result<(), RedisError> {
        let channel = self.channel(channel.as_ref())?;
        let arguments = [channel.as_bytes(), message.as_ref()];
        let link = self.redis().link();
        let keys = [self.epoch_name()];
        int(link.eval_once(&PUBLISH, &keys, &arguments).await?).map(drop)
    }

    /// Listens to a channel of the tenant's: what is told from now on. `SUBSCRIBE`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn subscribe(&self, channel: impl AsRef<str>) -> Result<Subscription, RedisError> {
        let channel = self.channel(channel.as_ref())?;
        let redis = self.redis();
        redis.subscriber().subscribe(redis.client(), channel).await
    }

    fn channel(&self, channel: &str) -> Result<String, RedisError> {
        if channel.len() > LONGEST_NAME {
            return Err(RedisError::invalid("a name is longer than 4,096 bytes"));
        }
        let start = layout::of_tenant(self.context().tenant_id(), 'p');
        Ok(start + channel)
    }
}

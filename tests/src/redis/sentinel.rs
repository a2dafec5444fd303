//! A master, a replica, and sentinels that watch them.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    cluster::{late, wait},
    server::{Kind, RedisServer},
};
use crate::postgres::Error;

/// How long they have to agree on something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A master of the name `orders`, a replica, and three sentinels of which two decide.
///
/// ```no_run
/// use tenancy_tests::RedisSentinels;
///
/// # async fn test() -> Result<(), tenancy_tests::Error> {
/// let watched = RedisSentinels::start().await?;
/// let urls = watched.urls();
/// watched.fail_over().await?;
/// # drop(urls);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "they end when this is dropped"]
pub struct RedisSentinels {
    servers: [RedisServer; 2],
    sentinels: Vec<RedisServer>,
}

impl RedisSentinels {
    /// What the sentinels call the master.
    pub const NAME: &str = "orders";

    /// Starts them, and waits until they know of one another.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no Redis here; others if one does not start.
    pub async fn start() -> Result<Self, Error> {
        let master = RedisServer::with("repl-diskless-sync-delay 0").await?;
        let port = master.port();
        let settings = format!("repl-diskless-sync-delay 0\nreplicaof 127.0.0.1 {port}");
        let replica = RedisServer::with(&settings).await?;
        let name = Self::NAME;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let watch = format!(
                "sentinel monitor {name} 127.0.0.1 {port} 2\nsentinel down-after-milliseconds {name} 3000\n\
                 sentinel failover-timeout {name} 10000"
            );
            sentinels.push(RedisServer::run(Kind::Sentinel, |_| Ok(watch.clone())).await?);
        }
        let watched = Self {
            servers: [master, replica],
            sentinels,
        };
        let deadline = Instant::now() + PATIENCE;
        for sentinel in &watched.sentinels {
            loop {
                let state: Vec<(String, String)> =
                    sentinel.ask(&["SENTINEL", "MASTER", name]).await?;
                let of = |key: &str| {
                    let found = state.iter().find(|(name, _)| name == key);
                    found.map_or("", |(_, value)| value.as_str())
                };
                if of("num-slaves") == "1"
                    && of("num-other-sentinels") == "2"
                    && of("flags") == "master"
                {
                    break;
                }
                wait(deadline, late("sentinels know of one another")).await?;
            }
        }
        Ok(watched)
    }

    /// A URL of each sentinel.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// The sentinels.
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// The servers; the first one was the master at the start.
    pub const fn servers(&self) -> &[RedisServer; 2] {
        &self.servers
    }

    /// Waits until each sentinel that runs names this port as the master's.
    ///
    /// # Errors
    /// An [`Error`] if they do not.
    pub async fn agree_on(&self, port: u16, running: &[usize]) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        for sentinel in running.iter().filter_map(|each| self.sentinels.get(*each)) {
            loop {
                let ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME];
                let (_, named): (String, u16) = sentinel.ask(&ask).await?;
                if named == port {
                    break;
                }
                wait(deadline, late("sentinels name another master")).await?;
            }
        }
        Ok(())
    }

    /// Makes the replica the master, while the master is well.
    ///
    /// # Errors
    /// An [`Error`] if it does not come about.
    pub async fn fail_over(&self) -> Result<(), Error> {
        let [_, replica] = &self.servers;
        let deadline = Instant::now() + PATIENCE;
        let Some(first) = self.sentinels.first() else {
            return Ok(());
        };
        while let Err(error) = first.ask::<()>(&["SENTINEL", "FAILOVER", Self::NAME]).await {
            wait(deadline, error).await?;
        }
        self.agree_on(replica.port(), &[0, 1, 2]).await
    }
}

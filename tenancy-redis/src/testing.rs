//! The way to Redis that all parts of this crate go, for the suites of this workspace. Nothing of it is promised.

use std::fmt;

use redis::{Cmd, Value};

use crate::{RedisClient, RedisError, link::Link, script::Script};

/// A way to a client's Redis, with connections of its own.
///
/// ```no_run
/// use tenancy_redis::{RedisClient, testing::Questions};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let asking = Questions::of(&RedisClient::cluster(["redis://127.0.0.1:6379"]).build()?);
/// let none: [&str; 0] = [];
/// asking.run("return redis.call('INCR', KEYS[1])", &["{tag}key"], &none).await?;
/// # Ok(())
/// # }
/// ```
pub struct Questions(Link);

impl Questions {
    /// With all that the client was configured with.
    #[must_use]
    pub fn of(client: &RedisClient) -> Self {
        Self(client.beside())
    }

    /// Runs a script where its first key is. It may run more than once.
    ///
    /// # Errors
    /// A [`RedisError`] if there is no answer.
    pub async fn run<K, A>(
        &self,
        script: &'static str,
        keys: &[K],
        arguments: &[A],
    ) -> Result<Value, RedisError>
    where
        K: AsRef<[u8]> + Sync,
        A: AsRef<[u8]> + Sync,
    {
        self.0.eval(&Script::new(script), keys, arguments).await
    }

    /// Asks one thing, once: whoever has the slot of the key, or anybody.
    ///
    /// # Errors
    /// A [`RedisError`] if there is no answer.
    pub async fn ask_once(&self, key: Option<&[u8]>, command: &Cmd) -> Result<Value, RedisError> {
        self.0.ask_once(key, command).await
    }

    /// Whether it is all there.
    ///
    /// # Errors
    /// A [`RedisError`] if not.
    pub async fn check(&self) -> Result<(), RedisError> {
        self.0.check().await
    }

    /// Whether it is known that nobody answers.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.0.is_down()
    }
}

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions").finish_non_exhaustive()
    }
}

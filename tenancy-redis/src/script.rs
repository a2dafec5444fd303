//! A script, and how it is asked for by its digest.

use redis::Cmd;

/// A Lua script. It is sent by its SHA-1, and whole only to a server that does not have it yet.
pub(crate) struct Script(redis::Script);

impl Script {
    pub(crate) fn new(code: &str) -> Self {
        Self(redis::Script::new(code))
    }

    /// Runs it, if the server has it.
    pub(crate) fn evalsha<K, A>(&self, keys: &[K], arguments: &[A]) -> Cmd
    where
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.0.get_hash()).arg(keys.len());
        for each in keys {
            command.arg(each.as_ref());
        }
        for each in arguments {
            command.arg(each.as_ref());
        }
        command
    }

    /// Gives it to the server.
    pub(crate) async fn load(
        &self,
        connection: &mut impl redis::aio::ConnectionLike,
    ) -> Result<(), redis::RedisError> {
        self.0.load_async(connection).await.map(drop)
    }
}

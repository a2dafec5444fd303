//! A script, and how it is asked for by its digest.

use std::borrow::Cow;

use redis::Cmd;

/// A Lua script. It is sent by its SHA-1, and whole only to a server that does not have it yet.
pub(crate) struct Script {
    code: Cow<'static, str>,
    digest: String,
}

impl Script {
    pub(crate) fn new(code: impl Into<Cow<'static, str>>) -> Self {
        let code = code.into();
        let digest = redis::Script::new(&code).get_hash().to_owned();
        Self { code, digest }
    }

    /// What it is asked for by.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// Runs it, if the server has it.
    pub(crate) fn evalsha<K, A>(&self, keys: &[K], arguments: &[A]) -> Cmd
    where
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        Self::command("EVALSHA", &self.digest, keys, arguments)
    }

    /// Runs it, and leaves it with the server.
    pub(crate) fn eval<K, A>(&self, keys: &[K], arguments: &[A]) -> Cmd
    where
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        Self::command("EVAL", &self.code, keys, arguments)
    }

    fn command<K, A>(name: &str, script: &str, keys: &[K], arguments: &[A]) -> Cmd
    where
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        let mut command = redis::cmd(name);
        command.arg(script).arg(keys.len());
        for each in keys {
            command.arg(each.as_ref());
        }
        for each in arguments {
            command.arg(each.as_ref());
        }
        command
    }
}

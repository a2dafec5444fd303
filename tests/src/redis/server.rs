//! A throw-away Redis.

use std::{
    env, io,
    sync::{Mutex, PoisonError},
};

use tokio::sync::OnceCell;

use super::{binary, process::Process};
use crate::postgres::{Error, free_port};

/// A Redis that listens on loopback and **asks nobody for a password**. It ends with this value or with the process.
///
/// ```no_run
/// use tenancy_tests::RedisServer;
///
/// # async fn test() -> Result<(), tenancy_tests::Error> {
/// let redis = RedisServer::start().await?;
/// let url = redis.url();
/// redis.stop();
/// redis.start_again().await?;
/// # drop(url);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub struct RedisServer {
    port: u16,
    settings: String,
    process: Mutex<Option<Process>>,
}

impl RedisServer {
    /// The URL of a server that all tests of this process share: the one at `REDIS_URL`, else a throw-away one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no Redis here; others if it does not start.
    pub async fn shared() -> Result<String, Error> {
        // In a static, it is never dropped; its process ends when this one does.
        static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
        if let Ok(url) = env::var("REDIS_URL") {
            return Ok(url);
        }
        SHARED.get_or_try_init(Self::start).await.map(Self::url)
    }

    /// Starts one.
    ///
    /// # Errors
    /// As for [`shared`](Self::shared).
    pub async fn start() -> Result<Self, Error> {
        Self::with("").await
    }

    /// Starts one with further settings as its file has them, one a line.
    ///
    /// # Errors
    /// As for [`shared`](Self::shared).
    pub async fn with(settings: &str) -> Result<Self, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let port = free_port()?;
            match launch(port, settings).await {
                // Somebody else may take the free port before Redis does.
                Err(Error::Startup { log }) if tries < 5 && log.contains("in use") => {}
                process => {
                    return Ok(Self {
                        port,
                        settings: settings.to_owned(),
                        process: Mutex::new(Some(process?)),
                    });
                }
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Kills it. What it held is gone.
    pub fn stop(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        drop(process.take());
    }

    /// Starts it again, empty, on the same port.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn start_again(&self) -> Result<(), Error> {
        self.stop();
        let process = launch(self.port, &self.settings).await?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    /// Has it answer nothing until [`resume`](Self::resume); connections stay open.
    ///
    /// # Errors
    /// An [`Error`] if it is not running.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal("STOP")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// An [`Error`] if it is not running.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<(), Error> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        match &*process {
            Some(process) => process.signal(name),
            None => Err(Error::io("Redis was stopped")(
                io::ErrorKind::NotFound.into(),
            )),
        }
    }
}

async fn launch(port: u16, settings: &str) -> Result<Process, Error> {
    let program = binary::find()?;
    let settings = format!(
        "bind 127.0.0.1\nport {port}\nsave \"\"\nappendonly no\nprotected-mode no\nenable-debug-command yes\n{settings}\n"
    );
    tokio::task::spawn_blocking(move || Process::start(&program, port, &settings, &[]))
        .await
        .map_err(io::Error::other)
        .map_err(Error::io("starting Redis was interrupted"))?
}

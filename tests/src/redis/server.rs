//! A throw-away Redis.

use std::{
    env, io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ::redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue};
use tokio::{
    sync::OnceCell,
    time::{Instant, sleep},
};

use super::{binary, process::Process};
use crate::postgres::{Error, free_port, required, say_skipped};

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
    kind: Kind,
    settings: String,
    process: Mutex<Option<Process>>,
}

/// What it runs as.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Server,
    Valkey,
    Sentinel,
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
        Self::run(Kind::Server, |_| Ok(settings.to_owned())).await
    }

    /// Starts a Valkey. If there is none here, that is told on stderr, unless `TENANCY_REQUIRE_VALKEY=1` or, with that
    /// variable unset, `CI` is set.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is none and must be; others if it does not start.
    pub async fn valkey() -> Result<Option<Self>, Error> {
        match binary::find_valkey() {
            Ok(_) => Self::run(Kind::Valkey, |_| Ok(String::new()))
                .await
                .map(Some),
            Err(error) if error.is_unavailable() && !required("TENANCY_REQUIRE_VALKEY") => {
                say_skipped(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Starts one with the settings for a port.
    pub(super) async fn run(
        kind: Kind,
        settings: impl Fn(u16) -> Result<String, Error>,
    ) -> Result<Self, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let port = free_port()?;
            let settings = settings(port)?;
            match launch(kind, port, &settings).await {
                // Somebody else may take the free port before Redis does.
                Err(Error::Startup { log }) if tries < 5 && log.contains("in use") => {}
                process => {
                    return Ok(Self {
                        port,
                        kind,
                        settings,
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
        let deadline = Instant::now() + PATIENCE;
        let process = loop {
            match launch(self.kind, self.port, &self.settings).await {
                // A connection of somebody else may have the port meanwhile: it is one of those that are given to anybody.
                Err(Error::Startup { log })
                    if log.contains("in use") && Instant::now() < deadline =>
                {
                    sleep(Duration::from_millis(50)).await;
                }
                process => break process?,
            }
        };
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

    /// Asks one thing, on a connection of its own.
    ///
    /// # Errors
    /// An [`Error`] if it does not answer, or answers with an error.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, Error> {
        self.ask_all(&[words])
            .await?
            .pop()
            .ok_or_else(|| failed(words)(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Asks several things, one after another, on a connection of its own.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub async fn ask_all<T: FromRedisValue, W: AsRef<[S]>, S: AsRef<str>>(
        &self,
        commands: &[W],
    ) -> Result<Vec<T>, Error> {
        let mut answers = Vec::new();
        let mut connection = None;
        for words in commands {
            let words: Vec<&str> = words.as_ref().iter().map(AsRef::as_ref).collect();
            let answer = async {
                let open = match &mut connection {
                    Some(open) => open,
                    None => {
                        let config = AsyncConnectionConfig::new()
                            .set_connection_timeout(Some(PATIENCE))
                            .set_response_timeout(Some(PATIENCE));
                        let opened = Client::open(self.url())?
                            .get_multiplexed_async_connection_with_config(&config)
                            .await?;
                        connection.insert(opened)
                    }
                };
                let mut command = Cmd::new();
                command.arg(&words);
                command.query_async(open).await
            };
            let answer: redis::RedisResult<T> = answer.await;
            answers.push(answer.map_err(|error| failed(&words)(io::Error::other(error)))?);
        }
        Ok(answers)
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

/// How long an answer to a test itself is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

fn failed(words: &[&str]) -> impl FnOnce(io::Error) -> Error {
    let what = format!("Redis does not do `{}`", words.join(" "));
    move |source| Error::Io { what, source }
}

async fn launch(kind: Kind, port: u16, settings: &str) -> Result<Process, Error> {
    let program = match kind {
        Kind::Valkey => binary::find_valkey()?,
        _ => binary::find()?,
    };
    let base = format!("bind 127.0.0.1\nport {port}\nprotected-mode no\n");
    let (base, arguments): (_, &[&str]) = match kind {
        Kind::Server | Kind::Valkey => {
            let held = "save \"\"\nappendonly no\nenable-debug-command yes\n";
            (base + held, &[])
        }
        Kind::Sentinel => (base, &["--sentinel"]),
    };
    let settings = format!("{base}{settings}\n");
    tokio::task::spawn_blocking(move || Process::start(&program, port, &settings, arguments))
        .await
        .map_err(io::Error::other)
        .map_err(Error::io("starting Redis was interrupted"))?
}

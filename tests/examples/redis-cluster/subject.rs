//! The two that are compared.

use std::time::Duration;

use redis::{
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
};

use super::{
    PLAIN, WITH_ID,
    library::link::{Address, Link, Waits},
    script::Script,
};

/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_millis(500);

/// How long a caller waits in all. One that has heard nothing after it and a half again is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The driver's connection as it is.
    Driver,
    /// The same without retries.
    DriverOnce,
    /// Our connections.
    Ours,
    /// The same, for what may not be asked again.
    OursOnce,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver, 16 retries",
            Self::DriverOnce => "driver, no retries",
            Self::Ours => "ours",
            Self::OursOnce => "ours, asked once",
        }
    }
}

/// A way to a cluster.
pub(crate) enum Subject {
    Driver(ClusterConnection),
    Ours { link: Box<Link>, again: bool },
}

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed,
    Unanswered,
}

impl Subject {
    pub(crate) async fn open(kind: Kind, urls: &[String]) -> anyhow::Result<Self> {
        let driver = |builder: ClusterClientBuilder| async move {
            let client = builder
                .response_timeout(ANSWER)
                .overall_response_timeout(Some(PATIENCE))
                .connection_timeout(Duration::from_secs(1))
                .build()?;
            anyhow::Ok(Self::Driver(client.get_async_connection().await?))
        };
        let builder = || ClusterClient::builder(urls.iter().map(String::as_str));
        match kind {
            Kind::Driver => driver(builder()).await,
            Kind::DriverOnce => driver(builder().retries(0)).await,
            Kind::Ours | Kind::OursOnce => {
                let waits = Waits {
                    connect: Duration::from_secs(1),
                    answer: ANSWER,
                    at_once: 4_096,
                };
                let link = Box::new(Link::new(Address::cluster(urls)?, waits, PATIENCE));
                let again = kind == Kind::Ours;
                Ok(Self::Ours { link, again })
            }
        }
    }

    /// Runs one of the scripts for an operation of a tenant.
    pub(crate) async fn run(&self, with_id: bool, tag: &str, operation: u64) -> Outcome {
        let mut keys = vec![format!("{{{tag}}}:counter")];
        if with_id {
            keys.push(format!("{{{tag}}}:o:{operation}"));
        }
        let code = if with_id { WITH_ID } else { PLAIN };
        let call = async {
            match self {
                Self::Driver(connection) => {
                    let script = redis::Script::new(code);
                    let mut call = script.prepare_invoke();
                    for key in &keys {
                        call.key(key);
                    }
                    call.invoke_async::<redis::Value>(&mut connection.clone())
                        .await
                        .is_ok()
                }
                Self::Ours { link, again } => {
                    let (script, none) = (Script::new(code), [""; 0]);
                    if *again {
                        return link.eval(&script, &keys, &none).await.is_ok();
                    }
                    let key = keys.first().map(String::as_bytes);
                    let command = script.evalsha(&keys, &none);
                    link.ask_once(key, &command).await.is_ok()
                }
            }
        };
        match tokio::time::timeout(PATIENCE.mul_f32(1.5), call).await {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::Failed,
            Err(_) => Outcome::Unanswered,
        }
    }

    /// Whether it answers a simple question about a tenant.
    pub(crate) async fn answers(&self, tag: &str) -> bool {
        let key = format!("{{{tag}}}:counter");
        let mut get = redis::cmd("GET");
        get.arg(&key);
        let asked = async {
            match self {
                Self::Driver(connection) => get
                    .query_async::<Option<u64>>(&mut connection.clone())
                    .await
                    .is_ok(),
                Self::Ours { link, .. } => link.ask_once(Some(key.as_bytes()), &get).await.is_ok(),
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or(false)
    }
}

//! Where a server is: at an address, where sentinels say, or where a cluster says.

use std::sync::Arc;

use futures_util::future::select_ok;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    aio::{MultiplexedConnection, PubSub},
    io::tcp::TcpSettings,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use tenancy_core::ConfigError;
use tokio::sync::Mutex;

use super::{
    failure::{Failure, Mend},
    slots::Place,
};
use crate::{RedisError, RedisErrorKind};

/// Where a server is.
#[derive(Clone)]
pub(crate) enum Address {
    /// At one address.
    Fixed(Box<Client>),
    /// Where the sentinels say that the master is. They are asked before each connection, all at once: one that is silent
    /// keeps nobody.
    Master(Arc<[Mutex<SentinelClient>]>),
    /// Where nodes of a cluster say that its masters are. A connection is one to any of its nodes.
    Cluster(Arc<Seeds>),
}

/// Nodes of a cluster that are known from the start.
pub(crate) struct Seeds(Vec<(Arc<str>, ConnectionInfo, Box<Client>)>);

impl Seeds {
    /// All of them: their hosts and their addresses.
    pub(super) fn all(&self) -> impl Iterator<Item = (Arc<str>, Address)> {
        let seeds = self.0.iter();
        seeds.map(|(host, _, client)| (Arc::clone(host), Address::Fixed(client.clone())))
    }

    /// Another node, with the login and the kind of connection of the first.
    pub(super) fn node(&self, place: &Place) -> Result<Address, Failure> {
        let failed = |why: &str| Failure {
            error: RedisError::new(RedisErrorKind::Refused, why),
            mend: Mend::Nothing,
        };
        let (_, first, _) = self.0.first().ok_or_else(|| failed("no node is known"))?;
        let mut at = first.addr().clone();
        match &mut at {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                *host = place.host.to_string();
                *port = place.port;
            }
            _ => return Err(failed("a node of a cluster has a host and a port")),
        }
        Client::open(first.clone().set_addr(at))
            .map(|client| Address::Fixed(Box::new(client)))
            .map_err(Failure::from)
    }
}

/// A URL whose kind is right. What stands in it is not repeated in messages: it may hold a password.
fn info(url: &str) -> Result<ConnectionInfo, ConfigError> {
    let info = url.into_connection_info().map_err(|error| {
        let why = match error.kind() {
            redis::ErrorKind::InvalidClientConfig if url.starts_with("rediss:") => {
                "it asks for TLS; turn on the feature `tls`"
            }
            _ => "write `redis://user:password@host:6379/0`, with percent signs for characters that a URL can't have",
        };
        ConfigError::new(format!("this is no URL of a Redis: {why}"))
    })?;
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(info.set_tcp_settings(tcp))
}

impl Address {
    pub(crate) fn fixed(url: &str) -> Result<Self, ConfigError> {
        Client::open(info(url)?)
            .map(|client| Self::Fixed(Box::new(client)))
            .map_err(|error| ConfigError::new(format!("no such Redis: {}", error.category())))
    }

    /// The master of a name; `login` is a URL of which user, password and database count.
    pub(crate) fn master(
        name: &str,
        sentinels: &[String],
        login: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let mut addresses = Vec::new();
        for url in sentinels {
            addresses.push(info(url)?);
        }
        if addresses.is_empty() || name.is_empty() {
            return Err(ConfigError::new(
                "a master needs its name and the URL of one sentinel at least".to_owned(),
            ));
        }
        let mut node = SentinelNodeConnectionInfo::default()
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        if let Some(login) = login {
            node = node.set_redis_connection_info(info(login)?.redis_settings().clone());
        }
        let mut clients = Vec::new();
        for address in addresses {
            let kind = SentinelServerType::Master;
            let node = Some(node.clone());
            let service = String::from(name);
            let client = SentinelClient::build(vec![address], service, node, kind);
            let client = client.map_err(|error| {
                ConfigError::new(format!("no such sentinels: {}", error.category()))
            })?;
            clients.push(Mutex::new(client));
        }
        Ok(Self::Master(clients.into()))
    }

    /// A cluster, by URLs of some of its nodes.
    pub(crate) fn cluster(urls: &[String]) -> Result<Self, ConfigError> {
        let mut seeds = Vec::new();
        for url in urls {
            let info = info(url)?;
            let host = match info.addr() {
                ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.as_str(),
                _ => {
                    return Err(ConfigError::new(
                        "a node of a cluster needs a URL with a host and a port".to_owned(),
                    ));
                }
            };
            if info.redis_settings().db() != 0 {
                return Err(ConfigError::new(
                    "a cluster has the database 0 only; leave it out of the URL".to_owned(),
                ));
            }
            let host = Arc::from(host);
            let client = Client::open(info.clone()).map_err(|error| {
                ConfigError::new(format!("no such Redis: {}", error.category()))
            })?;
            seeds.push((host, info, Box::new(client)));
        }
        if seeds.is_empty() {
            return Err(ConfigError::new(
                "a cluster needs the URL of one of its nodes at least".to_owned(),
            ));
        }
        Ok(Self::Cluster(Arc::new(Seeds(seeds))))
    }

    pub(super) async fn connect(
        &self,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, Failure> {
        let opened = match self {
            Self::Fixed(client) => {
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
            }
            Self::Master(sentinels) => {
                let client = Self::current(sentinels).await?;
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
            }
            Self::Cluster(seeds) => {
                let asked = seeds.0.iter().map(|(_, _, client)| {
                    Box::pin(client.get_multiplexed_async_connection_with_config(&config))
                });
                select_ok(asked).await.map(|(connection, _)| connection)
            }
        };
        Ok(opened?)
    }

    /// A connection that hears channels, and nothing else. In a cluster, any node hears all channels.
    pub(crate) async fn listen(&self) -> Result<PubSub, Failure> {
        Ok(match self {
            Self::Fixed(client) => client.get_async_pubsub().await?,
            Self::Master(sentinels) => {
                let client = Self::current(sentinels).await?;
                client.get_async_pubsub().await?
            }
            Self::Cluster(seeds) => {
                let asked = seeds.0.iter();
                let asked = asked.map(|(_, _, client)| Box::pin(client.get_async_pubsub()));
                select_ok(asked).await?.0
            }
        })
    }

    /// The master, as the first sentinel says that answers.
    async fn current(sentinels: &[Mutex<SentinelClient>]) -> Result<Client, Failure> {
        let asked = sentinels
            .iter()
            .map(|sentinel| Box::pin(async { sentinel.lock().await.async_get_client().await }));
        Ok(select_ok(asked).await?.0)
    }
}

//! Where a server is: at an address, or where sentinels say.

use std::sync::Arc;

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo as _,
    aio::{MultiplexedConnection, PubSub},
    io::tcp::TcpSettings,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use tenancy_core::ConfigError;
use tokio::sync::Mutex;

use super::failure::Failure;

/// Where a server is.
#[derive(Clone)]
pub(crate) enum Address {
    /// At one address.
    Fixed(Box<Client>),
    /// Where the sentinels say that the master is. They are asked before each connection.
    Master(Arc<Mutex<SentinelClient>>),
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
        let kind = SentinelServerType::Master;
        let client = SentinelClient::build(addresses, name.to_owned(), Some(node), kind);
        client
            .map(|client| Self::Master(Arc::new(Mutex::new(client))))
            .map_err(|error| ConfigError::new(format!("no such sentinels: {}", error.category())))
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
                let client = sentinels.lock().await.async_get_client().await?;
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
            }
        };
        Ok(opened?)
    }
    /// A connection that hears channels, and nothing else.
    pub(crate) async fn listen(&self) -> Result<PubSub, Failure> {
        let client = match self {
            Self::Fixed(client) => (**client).clone(),
            Self::Master(sentinels) => sentinels.lock().await.async_get_client().await?,
        };
        Ok(client.get_async_pubsub().await?)
    }
}

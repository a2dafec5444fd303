//! `RedisClient`: one Redis, or a cluster, and how long anybody waits for it.

use std::{fmt, sync::Arc, time::Duration};

use tenancy_core::ConfigError;

use crate::{
    RedisError,
    link::{Address, Link, Waits},
};

/// A Redis: a server, the master that sentinels know, or a cluster. Cheap to clone; clones share connections.
///
/// Nothing is connected before it is needed, and [`check`](Self::check) says whether it can be. A connection that is lost,
/// or falls silent, is replaced.
///
/// ```no_run
/// use tenancy_redis::RedisClient;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = RedisClient::new("redis://127.0.0.1:6379")?;
/// client.check().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// A password in the URL is in no message and no `Debug`. Over a network that others share use `rediss://`, with the feature
/// `tls`.
#[derive(Clone)]
pub struct RedisClient {
    inner: Arc<Inner>,
}

struct Inner {
    address: Address,
    waits: Waits,
    patience: Duration,
    link: Link,
}

/// What is waited for a Redis, and how it is found: see [`RedisClient`].
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_redis::RedisClient;
///
/// let client = RedisClient::sentinel("orders", ["redis://10.0.0.1:26379", "redis://10.0.0.2:26379"])
///     .answer_within(Duration::from_millis(100))
///     .build()?;
/// # let _ = client;
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisClientBuilder {
    place: Place,
    waits: Waits,
    patience: Duration,
}

#[derive(Clone)]
enum Place {
    Server(String),
    Master {
        name: String,
        sentinels: Vec<String>,
        login: Option<String>,
    },
    Cluster(Vec<String>),
}

impl RedisClient {
    /// A server by its URL, with the defaults: `redis://user:password@host:6379/0`.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is no such URL.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Self::builder(url).build()
    }

    /// A server by its URL, with options.
    pub fn builder(url: &str) -> RedisClientBuilder {
        RedisClientBuilder::at(Place::Server(url.to_owned()))
    }

    /// The master of this name, by the URLs of sentinels. They are asked before each new connection.
    pub fn sentinel<U: Into<String>>(
        master: &str,
        sentinels: impl IntoIterator<Item = U>,
    ) -> RedisClientBuilder {
        RedisClientBuilder::at(Place::Master {
            name: master.to_owned(),
            sentinels: sentinels.into_iter().map(Into::into).collect(),
            login: None,
        })
    }

    /// A cluster, by the URLs of some of its nodes. One of them has to answer for the start; the others it names.
    ///
    /// Nodes are asked where the cluster announces them (`cluster-preferred-endpoint-type`, `cluster-announce-hostname`),
    /// with the user, the password and the encryption of the first URL. Masters alone are asked, each on connections of
    /// its own: one that does not answer keeps nobody who has to do with another. Set
    /// `cluster-require-full-coverage no`, or the nodes themselves refuse everything while one master is gone.
    ///
    /// A slot that is on its way between two nodes key by key answers "not yet" to a script some of whose keys do not
    /// exist. That is waited for within [`answer_within`](RedisClientBuilder::answer_within). Atomic migration of slots
    /// (Redis 8.4, Valkey 9) has no such time.
    ///
    /// ```
    /// use tenancy_redis::RedisClient;
    ///
    /// let client = RedisClient::cluster(["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"]).build()?;
    /// # let _ = client;
    /// # Ok::<(), tenancy_core::ConfigError>(())
    /// ```
    ///
    /// # Security
    /// The user needs `+cluster|slots` and `+asking`, which [`RedisLogin`](crate::RedisLogin) has.
    pub fn cluster<U: Into<String>>(nodes: impl IntoIterator<Item = U>) -> RedisClientBuilder {
        let nodes = nodes.into_iter().map(Into::into).collect();
        RedisClientBuilder::at(Place::Cluster(nodes))
    }

    /// Whether it answers: the server, or each master of the cluster. For the start of a service: what is wrong in its
    /// configuration shows here.
    ///
    /// # Errors
    /// A [`RedisError`] that says why not. [`RedisErrorKind::Refused`](crate::RedisErrorKind::Refused) also if a cluster
    /// was expected and this is none.
    pub async fn check(&self) -> Result<(), RedisError> {
        self.inner.link.check().await
    }

    /// Whether it is known not to answer: nobody waits for it then, and one caller each half second tries. Of a cluster:
    /// whether no master answers.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.inner.link.is_down()
    }

    /// A way to the same Redis with connections of its own, for what must not wait behind others' questions.
    pub(crate) fn beside(&self) -> Link {
        self.beside_for(self.patience())
    }

    /// The same, for callers who wait so long at most.
    pub(crate) fn beside_for(&self, patience: Duration) -> Link {
        let inner = &self.inner;
        Link::new(inner.address.clone(), inner.waits, patience)
    }

    /// How long a caller waits.
    pub(crate) fn patience(&self) -> Duration {
        self.inner.patience
    }

    /// A connection of its own that hears channels.
    pub(crate) async fn listen(&self) -> Result<redis::aio::PubSub, RedisError> {
        let within = self.inner.waits.connect;
        let listening = async {
            let Inner { link, address, .. } = &*self.inner;
            if link.is_divided()
                && let Ok(node) = link.address(b"").await
                && let Ok(listening) = node.listen().await
            {
                return Ok(listening);
            }
            let listening = address.listen().await;
            listening.map_err(|failure| failure.error)
        };
        match tokio::time::timeout(within, listening).await {
            Ok(connected) => connected,
            Err(_) => Err(RedisError::unavailable("no connection in time")),
        }
    }
}

impl RedisClientBuilder {
    fn at(place: Place) -> Self {
        Self {
            place,
            waits: Waits {
                connect: Duration::from_secs(1),
                answer: Duration::from_millis(50),
                at_once: 4_096,
            },
            patience: Duration::from_millis(150),
        }
    }

    /// How long an answer is waited for before it counts as lost, and the question is asked again. Default: 50 ms.
    pub const fn response_timeout(mut self, time: Duration) -> Self {
        self.waits.answer = time;
        self
    }

    /// How long a connection is waited for. Default: 1 second. A caller waits for [`answer_within`](Self::answer_within) at
    /// most, also for this.
    pub const fn connect_timeout(mut self, time: Duration) -> Self {
        self.waits.connect = time;
        self
    }

    /// How long a caller waits in all, whatever is tried meanwhile. Default: 150 ms; a day at most.
    pub const fn answer_within(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// How many questions are on their way at once on one connection; others wait. Default: 4,096.
    pub const fn max_in_flight(mut self, most: usize) -> Self {
        self.waits.at_once = if most == 0 { 1 } else { most };
        self
    }

    /// With sentinels: the URL whose user, password and database the master is asked with. Its host does not count.
    /// Default: none of them.
    pub fn login(mut self, url: &str) -> Self {
        if let Place::Master { login, .. } = &mut self.place {
            *login = Some(url.to_owned());
        }
        self
    }

    /// Makes the client. Connects to nothing yet.
    ///
    /// # Errors
    /// A [`ConfigError`] if a URL is none, or a time is nothing.
    pub fn build(self) -> Result<RedisClient, ConfigError> {
        let Self {
            place,
            waits,
            patience,
        } = self;
        if [waits.connect, waits.answer, patience]
            .iter()
            .any(Duration::is_zero)
        {
            return Err(ConfigError::new(
                "Redis can't answer in no time; give times above 0".to_owned(),
            ));
        }
        let address = match place {
            Place::Server(url) => Address::fixed(&url)?,
            Place::Master {
                name,
                sentinels,
                login,
            } => Address::master(&name, &sentinels, login.as_deref())?,
            Place::Cluster(nodes) => Address::cluster(&nodes)?,
        };
        let link = Link::new(address.clone(), waits, patience);
        Ok(RedisClient {
            inner: Arc::new(Inner {
                address,
                waits,
                patience,
                link,
            }),
        })
    }
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClient")
            .field("is_down", &self.is_down())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClientBuilder")
            .field("waits", &self.waits)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

//! `RedisNews`: engines tell each other, through Redis, that something has changed.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _};
use redis::aio::{PubSubSink, PubSubStream};
use tenancy_core::{ChangeAnnouncer, Tenancy, TenantId};
use tokio::{runtime::Handle, task::JoinHandle};
use uuid::Uuid;

use crate::{
    RedisClient, RedisError, RedisErrorKind,
    layout::NEWS,
    link::{Link, failure},
    subscriber::{PUBLISH, hear},
};

/// The version of the messages. Of another one, a listener knows only that something has changed.
const VERSION: &str = "1";

/// The shortest time between two questions, however many messages come.
const SPACING: Duration = Duration::from_millis(20);

/// The first pause after a connection that was lost; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Tells the engines of a service of each other's changes through Redis, so that a revocation counts in each process at
/// once: for a directory that is not in PostgreSQL, whose own notifications
/// [`ChangeListener`](https://docs.rs/tenancy-sqlx/latest/tenancy_sqlx/struct.ChangeListener.html) hears.
///
/// An engine tells in the background: a program that ends right after its change calls [`tell`](Self::tell) first.
///
/// Each engine gets one, as [`announcer`](tenancy_core::TenancyBuilder::announcer), and [listens](Self::listen) with it. A
/// message names the tenant and says nothing else. Whoever hears it drops what it has cached of the tenant, and asks the
/// directory what has changed. So a message that is lost, or made up, changes no decision: without messages, a change of
/// another process is noticed by polling, within [`max_staleness`](Tenancy::max_staleness). After each connection that
/// was lost, everything that is cached is dropped.
///
/// ```no_run
/// use tenancy_core::{Directory, Tenancy};
/// use tenancy_redis::{RedisClient, RedisNews};
///
/// # async fn start(directory: impl Directory) -> Result<(), Box<dyn std::error::Error>> {
/// let news = RedisNews::new(&RedisClient::new("redis://127.0.0.1:6379")?);
/// let tenancy = Tenancy::builder(directory).announcer(news.clone()).build()?;
/// let _listening = news.listen(&tenancy).await?;
/// // … serve, and keep `_listening` for as long.
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// Whoever may publish to this Redis can have every engine drop its caches, as often as it likes: 50 questions to the
/// directory in a second are asked at most for it, and what is cached is read again.
#[derive(Clone)]
pub struct RedisNews {
    inner: Arc<Inner>,
}

struct Inner {
    client: RedisClient,
    link: Link,
    /// Who tells it: an engine does not listen to itself.
    sender: String,
}

impl RedisNews {
    /// News through a Redis. Connects to nothing yet.
    #[must_use]
    pub fn new(client: &RedisClient) -> Self {
        Self {
            inner: Arc::new(Inner {
                client: client.clone(),
                link: client.beside(),
                sender: Uuid::now_v7().simple().to_string(),
            }),
        }
    }

    /// Tells that something of a tenant's has changed, or of several for `None`: for a change that was made past an
    /// engine. [`Tenancy::invalidate`] is for the own process. `PUBLISH`.
    ///
    /// # Errors
    /// A [`RedisError`]; other processes then notice it by polling.
    pub async fn tell(&self, tenant: Option<TenantId>) -> Result<(), RedisError> {
        let scope = tenant.map_or_else(|| "-".to_owned(), |tenant| tenant.to_string());
        let message = format!("{VERSION} {} {scope}", self.inner.sender);
        let (keys, arguments) = ([NEWS], [NEWS, &message]);
        let told = self.inner.link.eval(&PUBLISH, &keys, &arguments).await;
        told.map(drop)
    }

    /// Listens on behalf of an engine, with one connection and one task, until what is returned is dropped. To be called
    /// inside a runtime. `SUBSCRIBE`.
    ///
    /// # Errors
    /// A [`RedisError`] if it can't listen now. Later on it tries again by itself.
    pub async fn listen(&self, tenancy: &Tenancy) -> Result<NewsListener, RedisError> {
        let heard = self.subscribe().await?;
        let (news, engine) = (self.clone(), tenancy.clone());
        let task = tokio::spawn(async move { news.keep_listening(heard, &engine).await });
        Ok(NewsListener { task })
    }

    async fn subscribe(&self) -> Result<(PubSubSink, PubSubStream), RedisError> {
        let (mut sink, stream) = self.inner.client.listen().await?.split();
        match tokio::time::timeout(crate::subscriber::SILENCE, sink.subscribe(NEWS)).await {
            Ok(subscribed) => subscribed.map_err(failure)?,
            Err(_) => return Err(RedisError::unavailable("no answer in time")),
        }
        Ok((sink, stream))
    }

    async fn keep_listening(&self, heard: (PubSubSink, PubSubStream), engine: &Tenancy) {
        let (mut sink, mut stream) = heard;
        let mut pause = PAUSE;
        loop {
            // What changed before the listener stood, or while there was none.
            engine.invalidate_all();
            ask(engine).await;
            while let Some((_, message)) = hear(&mut sink, &mut stream).await {
                pause = PAUSE;
                let mut is_news = self.take_in(&message, engine);
                // Whatever has come until then is answered by one question.
                tokio::time::sleep(SPACING).await;
                while let Some(Some(message)) = stream.next().now_or_never() {
                    is_news |= self.take_in(message.get_payload_bytes(), engine);
                }
                if is_news {
                    ask(engine).await;
                }
            }
            tracing::warn!(
                "changes are not told through Redis any more; they are found by polling meanwhile"
            );
            (sink, stream) = loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                match self.subscribe().await {
                    Ok(heard) => break heard,
                    Err(error) if error.kind() == RedisErrorKind::Refused => {
                        tracing::warn!(%error, "may not listen for changes");
                    }
                    Err(error) => tracing::debug!(%error, "could not listen for changes"),
                }
            };
            tracing::info!("changes are told through Redis again");
        }
    }

    /// Drops what a message is about. Whether it is another engine's.
    fn take_in(&self, message: &[u8], engine: &Tenancy) -> bool {
        let message = std::str::from_utf8(message).unwrap_or_default();
        let mut words = message.split(' ');
        let (version, sender, scope) = (words.next(), words.next(), words.next());
        if version == Some(VERSION) {
            if sender == Some(&*self.inner.sender) {
                return false;
            }
            if let Some(Ok(tenant)) = scope.map(str::parse) {
                engine.invalidate(tenant);
            }
        }
        true
    }
}

impl ChangeAnnouncer for RedisNews {
    /// Spawns a task that tells it. Outside of a runtime nothing is told.
    fn announce(&self, tenant: Option<TenantId>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let news = self.clone();
        runtime.spawn(async move {
            if let Err(error) = news.tell(tenant).await {
                tracing::warn!(%error, "could not tell other processes of a change; they poll");
            }
        });
    }
}

async fn ask(engine: &Tenancy) {
    if let Err(error) = engine.catch_up().await {
        tracing::warn!(%error, "could not ask what has changed");
    }
}

impl fmt::Debug for RedisNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisNews")
            .field("client", &self.inner.client)
            .finish_non_exhaustive()
    }
}

/// Listens for what other engines tell: see [`RedisNews::listen`].
///
/// ```no_run
/// # async fn example(news: tenancy_redis::RedisNews, tenancy: tenancy_core::Tenancy) -> Result<(), tenancy_redis::RedisError> {
/// let listening = news.listen(&tenancy).await?;
/// // … serve …
/// drop(listening);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is heard any more once this is dropped"]
pub struct NewsListener {
    task: JoinHandle<()>,
}

impl Drop for NewsListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for NewsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewsListener")
            .field("listening", &!self.task.is_finished())
            .finish()
    }
}

//! One connection on which a process hears all channels that somebody in it listens to.

use std::{
    collections::HashMap,
    future::Future,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{RedisClient, RedisError, Subscription, script::Script};

/// Tells `ARGV[2]` on the channel `ARGV[1]`. The key says which server of a cluster is asked.
pub(crate) static PUBLISH: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('PUBLISH', ARGV[1], ARGV[2])"));

/// How many messages wait for one listener; one that is slower is let go.
const WAITING: usize = 1_000;

/// How long a connection may be silent before it is asked whether it is there, and how long that may take.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// Subscribes for a process.
#[derive(Debug, Default)]
pub(crate) struct Subscriber {
    requests: Mutex<Option<mpsc::UnboundedSender<Request>>>,
}

/// Somebody wants to hear a channel.
struct Request {
    channel: String,
    answer: oneshot::Sender<Result<Subscription, RedisError>>,
}

impl Subscriber {
    /// Hears a channel, over a connection that is opened where there is none.
    pub(crate) async fn subscribe(
        &self,
        client: &RedisClient,
        channel: String,
    ) -> Result<Subscription, RedisError> {
        let (answer, answered) = oneshot::channel();
        self.request(client, Request { channel, answer });
        answered.await.unwrap_or_else(|_| {
            let why = "the connection was lost before it listened";
            Err(RedisError::unavailable(why))
        })
    }

    fn request(&self, client: &RedisClient, request: Request) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let request = match &*requests {
            Some(task) => match task.send(request) {
                Ok(()) => return,
                // Its connection is lost.
                Err(unsent) => unsent.0,
            },
            None => request,
        };
        let (task, received) = mpsc::unbounded_channel();
        // It has just been made.
        drop(task.send(request));
        *requests = Some(task);
        let client = client.clone();
        tokio::spawn(async move { listen(&client, received).await });
    }
}

/// Listens until the connection is lost, or nobody can request any more.
async fn listen(client: &RedisClient, mut requests: mpsc::UnboundedReceiver<Request>) {
    let connection = match client.listen().await {
        Ok(connection) => connection,
        Err(error) => {
            requests.close();
            while let Some(request) = requests.recv().await {
                drop(request.answer.send(Err(error.clone())));
            }
            return;
        }
    };
    let (mut sink, mut stream) = connection.split();
    let mut listeners = Listeners::default();
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => if !listeners.add(request, &mut sink).await { return },
                None => return,
            },
            heard = hear(&mut sink, &mut stream) => match heard {
                Some((channel, message)) => {
                    if !listeners.tell(channel, message, &mut sink).await { return }
                }
                None => return,
            },
        }
    }
}

/// The next message; `None` if the connection is lost, or silent and not there any more.
pub(crate) async fn hear(
    sink: &mut PubSubSink,
    stream: &mut PubSubStream,
) -> Option<(String, Vec<u8>)> {
    loop {
        if let Ok(message) = timeout(SILENCE, stream.next()).await {
            let message = message?;
            let channel = message.get_channel_name().to_owned();
            return Some((channel, message.get_payload_bytes().to_vec()));
        }
        in_time(sink.ping::<redis::Value>()).await?;
    }
}

/// What is asked on the connection; `None` if that fails.
pub(crate) async fn in_time<T>(
    asked: impl Future<Output = Result<T, redis::RedisError>>,
) -> Option<T> {
    timeout(SILENCE, asked).await.ok()?.ok()
}

/// Who listens to what.
#[derive(Default)]
struct Listeners(HashMap<String, Vec<mpsc::Sender<Vec<u8>>>>);

impl Listeners {
    /// Adds one, and forgets those who have gone. Whether the connection is good still.
    async fn add(&mut self, request: Request, sink: &mut PubSubSink) -> bool {
        if !self.forget(sink).await {
            return false;
        }
        let is_new = !self.0.contains_key(&request.channel);
        if is_new {
            match timeout(SILENCE, sink.subscribe(&request.channel)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let failure = crate::link::failure(error);
                    let is_good = failure.kind() == crate::RedisErrorKind::Refused;
                    drop(request.answer.send(Err(failure)));
                    return is_good;
                }
                Err(_) => return false,
            }
        }
        let (sender, heard) = mpsc::channel(WAITING);
        let listeners = self.0.entry(request.channel).or_default();
        listeners.push(sender);
        drop(request.answer.send(Ok(Subscription::new(heard))));
        true
    }

    async fn tell(&mut self, channel: String, message: Vec<u8>, sink: &mut PubSubSink) -> bool {
        if let Some(listeners) = self.0.get_mut(&channel) {
            listeners.retain(|listener| listener.try_send(message.clone()).is_ok());
            if listeners.is_empty() {
                self.0.remove(&channel);
                return in_time(sink.unsubscribe(&channel)).await.is_some();
            }
        }
        true
    }

    /// Forgets those who have gone.
    async fn forget(&mut self, sink: &mut PubSubSink) -> bool {
        for listeners in self.0.values_mut() {
            listeners.retain(|listener| !listener.is_closed());
        }
        let quiet = self.0.iter().filter(|(_, listeners)| listeners.is_empty());
        let quiet: Vec<_> = quiet.map(|(channel, _)| channel.clone()).collect();
        for channel in quiet {
            self.0.remove(&channel);
            if in_time(sink.unsubscribe(&channel)).await.is_none() {
                return false;
            }
        }
        true
    }
}

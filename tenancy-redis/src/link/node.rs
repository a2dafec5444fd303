//! One connection to one server: opened when it is needed, and opened anew when it falls silent.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
};

use tokio::sync::watch;

use super::{
    address::Address,
    failure::{Failure, Mend},
};

/// After how many answers in a row that did not come in time a connection counts as dead.
const SILENCES: u32 = 3;

/// What a node waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For an answer.
    pub(crate) answer: Duration,
    /// How many questions are on their way at once.
    pub(crate) at_once: usize,
}

/// A server, and one connection to it that all callers share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Node(Arc<Inner>);

struct Inner {
    address: Address,
    waits: Waits,
    state: Mutex<State>,
    silences: AtomicU32,
}

enum State {
    Closed,
    /// In a task of its own, so that it goes on when those who wait for it give up.
    Opening(watch::Receiver<Option<Opened>>),
    Open(Open),
}

type Opened = Result<Open, Failure>;

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    /// Which of the connections that were opened.
    number: u64,
}

/// The numbers of connections.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Node {
    pub(crate) fn new(address: Address, waits: Waits) -> Self {
        Self(Arc::new(Inner {
            address,
            waits,
            state: Mutex::new(State::Closed),
            silences: AtomicU32::new(0),
        }))
    }

    /// Asks one thing.
    pub(crate) async fn ask(&self, command: &Cmd) -> Result<Value, Failure> {
        let mut open = self.opened().await?;
        let answer = open.connection.req_packed_command(command).await;
        self.heard(&open, answer.and_then(Value::extract_error))
    }

    /// Asks several things with nothing of another caller between them. The answers of all; each may be an error of the
    /// server's.
    pub(crate) async fn ask_all(&self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let mut open = self.opened().await?;
        let count = commands.len();
        let answers = open
            .connection
            .req_packed_commands(commands, 0, count)
            .await;
        self.heard(&open, answers)
    }

    /// Keeps or drops the connection by what came of a question.
    fn heard<T>(&self, open: &Open, answer: Result<T, redis::RedisError>) -> Result<T, Failure> {
        let error = match answer {
            Ok(answer) => {
                self.0.silences.store(0, Ordering::Relaxed);
                return Ok(answer);
            }
            Err(error) => error,
        };
        let is_silence = error.is_timeout();
        let failure = Failure::from(error);
        let is_dead = match failure.mend {
            Mend::Reconnect if is_silence => {
                self.0.silences.fetch_add(1, Ordering::Relaxed) + 1 >= SILENCES
            }
            Mend::Reconnect => true,
            _ => false,
        };
        if is_dead {
            self.0.close(Some(open.number));
        }
        Err(failure)
    }

    /// The connection that is open, or a new one. Whoever comes while it is opened waits for it.
    async fn opened(&self) -> Opened {
        let mut opening = {
            let mut state = self.0.state();
            match &*state {
                State::Open(open) => return Ok(open.clone()),
                State::Opening(opening) => opening.clone(),
                State::Closed => {
                    let (told, opening) = watch::channel(None);
                    *state = State::Opening(opening.clone());
                    let inner = Arc::clone(&self.0);
                    tokio::spawn(async move { drop(told.send(Some(inner.open().await))) });
                    opening
                }
            }
        };
        match opening.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(opened)) => opened.clone(),
            // The runtime of the task has ended.
            _ => {
                self.0.close(None);
                let why = "the connection was given up";
                Err(Failure::unavailable(why, Mend::Reconnect))
            }
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self) -> Opened {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.waits.connect))
            .set_response_timeout(Some(self.waits.answer))
            .set_concurrency_limit(self.waits.at_once);
        let connecting = self.address.connect(config);
        let connected = tokio::time::timeout(self.waits.connect, connecting).await;
        let connected = connected.unwrap_or_else(|_| {
            let why = "no connection in time";
            Err(Failure::unavailable(why, Mend::Reconnect))
        });
        let opened = connected.map(|connection| Open {
            connection,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
        });
        self.silences.store(0, Ordering::Relaxed);
        *self.state() = match &opened {
            Ok(open) => State::Open(open.clone()),
            Err(_) => State::Closed,
        };
        opened
    }

    /// Forgets a connection, unless it has been replaced already; `None` is one that never came.
    fn close(&self, number: Option<u64>) {
        let mut state = self.state();
        let is_it = match &*state {
            State::Open(open) => number == Some(open.number),
            State::Opening(_) => number.is_none(),
            State::Closed => false,
        };
        if is_it {
            *state = State::Closed;
        }
    }
}

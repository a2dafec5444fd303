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
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

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

/// What is asked.
pub(super) struct Question<'a> {
    command: &'a Cmd,
    whole: Option<&'a (dyn Fn() -> Cmd + Sync)>,
}

impl<'a> Question<'a> {
    pub(super) const fn of(command: &'a Cmd) -> Self {
        let whole = None;
        Self { command, whole }
    }

    /// A command that names a script, and one that has the `whole` of it, for a server that lacks it.
    pub(super) const fn run(command: &'a Cmd, whole: &'a (dyn Fn() -> Cmd + Sync)) -> Self {
        let whole = Some(whole);
        Self { command, whole }
    }
}

/// A server, and one connection to it that all callers share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Node(Arc<Inner>);

struct Inner {
    address: Address,
    waits: Waits,
    state: Mutex<State>,
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
    /// How many answers in a row have not come.
    silences: Arc<AtomicU32>,
}

/// The numbers of connections.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Node {
    pub(crate) fn new(address: Address, waits: Waits) -> Self {
        Self(Arc::new(Inner {
            address,
            waits,
            state: Mutex::new(State::Closed),
        }))
    }

    /// Where it is.
    pub(super) fn address(&self) -> &Address {
        &self.0.address
    }

    /// Asks one thing, until the deadline. With `asking`, it is asked as a node of a cluster to which the key is on its way.
    pub(super) async fn put(
        &self,
        question: &Question<'_>,
        asking: bool,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let answer = self.ask(question.command, asking, deadline).await;
        match (&answer, question.whole) {
            // Whole, and at once: what is loaded may be lost again before it is asked for.
            (Err(failure), Some(whole)) if failure.mend == Mend::Load => {
                self.ask(&whole(), asking, deadline).await
            }
            _ => answer,
        }
    }

    async fn ask(&self, command: &Cmd, asking: bool, deadline: Instant) -> Result<Value, Failure> {
        self.within(deadline, async |connection| {
            if !asking {
                return connection
                    .req_packed_command(command)
                    .await?
                    .extract_error();
            }
            // Redis forgets the first with the next command, so nobody's may come between.
            let mut both = Pipeline::with_capacity(2);
            both.cmd("ASKING").add_command(command.clone());
            let mut answer = Value::Nil;
            for each in connection.req_packed_commands(&both, 0, 2).await? {
                answer = each.extract_error()?;
            }
            Ok(answer)
        })
        .await
    }

    async fn within<T>(
        &self,
        deadline: Instant,
        ask: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, redis::RedisError>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        // Whoever asks shortly before his deadline learns nothing of the server.
        let is_long = || began.elapsed() >= self.0.waits.answer / 2;
        let late = || {
            let mend = if is_long() { Mend::Nothing } else { Mend::Late };
            Failure::unavailable("no answer in time", mend)
        };
        let opened = timeout_at(deadline, self.opened()).await;
        let mut open = opened.map_err(|_| late())??;
        match timeout_at(deadline, ask(&mut open.connection)).await {
            Ok(answer) => self.heard(&open, answer),
            Err(_) => {
                if is_long() {
                    self.silent(&open);
                }
                Err(late())
            }
        }
    }

    /// Keeps or drops the connection by what came of a question.
    fn heard<T>(&self, open: &Open, answer: Result<T, redis::RedisError>) -> Result<T, Failure> {
        let error = match answer {
            Ok(answer) => {
                open.silences.store(0, Ordering::Relaxed);
                return Ok(answer);
            }
            Err(error) => error,
        };
        let is_silence = error.is_timeout();
        let failure = Failure::from(error);
        match failure.mend {
            Mend::Reconnect if is_silence => self.silent(open),
            Mend::Reconnect => self.0.close(Some(open.number)),
            // That, too, is an answer.
            _ => open.silences.store(0, Ordering::Relaxed),
        }
        Err(failure)
    }

    /// An answer has not come in time.
    fn silent(&self, open: &Open) {
        if open.silences.fetch_add(1, Ordering::Relaxed) + 1 >= SILENCES {
            self.0.close(Some(open.number));
        }
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
            silences: Arc::default(),
        });
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

//! The way to Redis: deadlines, another try where it can't harm, and a breaker where nothing helps.

mod address;
mod breaker;
mod failure;
mod node;

use std::{future::Future, time::Duration};

use redis::{Cmd, Value};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{RedisError, script::Script};
pub(crate) use address::Address;
use breaker::Breaker;
use failure::{Failure, Mend};
use node::Node;
pub(crate) use node::Waits;

/// How long a caller waits before it asks a server again that said "not yet". A lost connection is replaced at once the
/// first time.
const NOT_YET: Duration = Duration::from_millis(5);

/// What the driver says of a question that has no answer.
pub(crate) fn failure(error: redis::RedisError) -> RedisError {
    Failure::from(error).error
}

/// A way to Redis, with connections of its own.
pub(crate) struct Link {
    node: Node,
    breaker: Breaker,
    patience: Duration,
}

impl Link {
    /// A way to a server. A caller waits for an answer for `patience` at most, whatever has to be tried.
    pub(crate) fn new(address: Address, waits: Waits, patience: Duration) -> Self {
        Self {
            node: Node::new(address, waits),
            breaker: Breaker::new(Duration::from_millis(500)),
            patience,
        }
    }

    /// Runs a script. It may run more than once: give it an id by which it knows what it has done.
    pub(crate) async fn eval<K, A>(
        &self,
        script: &Script,
        keys: &[K],
        arguments: &[A],
    ) -> Result<Value, RedisError>
    where
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        self.eval_if(true, script, keys, arguments).await
    }

    /// Runs a script, once. An error leaves open whether it ran.
    pub(crate) async fn eval_once<K, A>(
        &self,
        script: &Script,
        keys: &[K],
        arguments: &[A],
    ) -> Result<Value, RedisError>
    where
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        self.eval_if(false, script, keys, arguments).await
    }

    async fn eval_if<K, A>(
        &self,
        again: bool,
        script: &Script,
        keys: &[K],
        arguments: &[A],
    ) -> Result<Value, RedisError>
    where
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        let command = script.evalsha(keys, arguments);
        self.persist(again, async || match self.node.ask(&command).await {
            Err(failure) if failure.mend == Mend::Load => {
                self.node.load(script).await?;
                self.node.ask(&command).await
            }
            answer => answer,
        })
        .await
    }

    /// Asks one thing that changes nothing, or whose repetition changes nothing more.
    pub(crate) async fn ask_again(&self, command: &Cmd) -> Result<Value, RedisError> {
        self.persist(true, || self.node.ask(command)).await
    }

    /// Asks one thing, once. An error leaves open whether it was done.
    pub(crate) async fn ask_once(&self, command: &Cmd) -> Result<Value, RedisError> {
        self.persist(false, || self.node.ask(command)).await
    }

    /// Whether it is known that nobody answers.
    pub(crate) fn is_down(&self) -> bool {
        self.breaker.is_open()
    }

    async fn persist<T, F>(&self, again: bool, ask: impl Fn() -> F) -> Result<T, RedisError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let start = Instant::now();
        if !self.breaker.admits(start) {
            return Err(RedisError::unavailable("it has not answered just before"));
        }
        let deadline = start + self.patience;
        let mut pause = Duration::ZERO;
        loop {
            let answer = timeout_at(deadline, ask()).await.unwrap_or_else(|_| {
                let why = "no answer in time";
                Err(Failure::unavailable(why, Mend::Nothing))
            });
            let failure = match answer {
                Ok(answer) => {
                    if self.breaker.answered() {
                        tracing::info!("Redis answers again");
                    }
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            let now = Instant::now();
            if failure.mend == Mend::Wait {
                pause = pause.max(NOT_YET);
            }
            let helps = again && failure.mend != Mend::Nothing && now + pause < deadline;
            if helps && self.breaker.may_retry() {
                sleep(pause).await;
                pause = (2 * pause).max(NOT_YET);
                continue;
            }
            // One that says no is there.
            let is_there = failure.error.kind() == crate::RedisErrorKind::Refused;
            if is_there {
                self.breaker.answered();
            } else if self.breaker.failed(now) {
                tracing::warn!(error = %failure.error, "Redis does not answer; callers do not wait for it any more");
            }
            return Err(failure.error);
        }
    }
}

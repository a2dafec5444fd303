//! The way to Redis: deadlines, another try where it can't harm, and a breaker where nothing helps.

mod address;
mod breaker;
mod cluster;
mod failure;
mod member;
mod node;
mod slots;

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use redis::{Cmd, Value};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{RedisError, RedisErrorKind, script::Script};
pub(crate) use address::Address;
use cluster::Cluster;
use failure::{Failure, Mend};
use member::Member;
use node::Question;
pub(crate) use node::Waits;

/// How long a caller waits before it asks a server again that said "not yet". A lost connection is replaced at once the
/// first time.
const NOT_YET: Duration = Duration::from_millis(5);

/// How long it waits at most, when the server says so again and again.
const STILL_NOT: Duration = Duration::from_millis(40);

/// The longest time that anything is waited for. A clock ends somewhere.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How often nodes of a cluster may send a question on.
const REDIRECTIONS: u32 = 5;

/// What the driver says of a question that has no answer.
pub(crate) fn failure(error: redis::RedisError) -> RedisError {
    Failure::from(error).error
}

/// A way to Redis, with connections of its own.
pub(crate) struct Link {
    way: Way,
    patience: Duration,
}

enum Way {
    One(Arc<Member>),
    Cluster(Cluster),
}

/// Whom a question goes to.
enum To<'a> {
    /// Whoever has this key, or anybody.
    Key(Option<&'a [u8]>),
    Member(&'a Arc<Member>),
}

impl Link {
    /// A way to a server. A caller waits for an answer for `patience` at most, whatever has to be tried.
    pub(crate) fn new(address: Address, waits: Waits, patience: Duration) -> Self {
        let patience = patience.min(LONGEST);
        let waits = Waits {
            answer: waits.answer.min(patience),
            connect: waits.connect.min(LONGEST),
            ..waits
        };
        let way = match address {
            Address::Cluster(seeds) => Way::Cluster(Cluster::new(seeds, waits)),
            address => Way::One(Arc::new(Member::new(address, waits, None))),
        };
        Self { way, patience }
    }

    /// Runs a script, where its first key is: all its keys have one hash tag. It may run more than once: give it an id by
    /// which it knows what it has done.
    pub(crate) async fn eval<K, A>(
        &self,
        script: &Script,
        keys: &[K],
        arguments: &[A],
    ) -> Result<Value, RedisError>
    where
        K: AsRef<[u8]> + Sync,
        A: AsRef<[u8]> + Sync,
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
        K: AsRef<[u8]> + Sync,
        A: AsRef<[u8]> + Sync,
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
        K: AsRef<[u8]> + Sync,
        A: AsRef<[u8]> + Sync,
    {
        let command = script.evalsha(keys, arguments);
        let to = To::Key(keys.first().map(AsRef::as_ref));
        let whole = || script.eval(keys, arguments);
        self.persist(to, again, &Question::run(&command, &whole))
            .await
    }

    /// Asks one thing, once. In a cluster, `key` is any key of the slot that it is about; what is about none, any node is
    /// asked. An error leaves open whether it was done.
    pub(crate) async fn ask_once(
        &self,
        key: Option<&[u8]>,
        command: &Cmd,
    ) -> Result<Value, RedisError> {
        self.persist(To::Key(key), false, &Question::of(command))
            .await
    }

    /// Whether it is all there: the server, or each master of the cluster, and all slots.
    pub(crate) async fn check(&self) -> Result<(), RedisError> {
        let ping = redis::cmd("PING");
        let question = Question::of(&ping);
        let cluster = match &self.way {
            Way::One(member) => {
                return self
                    .persist(To::Member(member), true, &question)
                    .await
                    .map(drop);
            }
            Way::Cluster(cluster) => cluster,
        };
        let read = async {
            loop {
                match cluster.read(None).await {
                    Err(failure) if failure.mend != Mend::Nothing => sleep(STILL_NOT).await,
                    read => return read,
                }
            }
        };
        let map = timeout_at(Instant::now() + self.patience, read)
            .await
            .unwrap_or_else(|_| {
                let why = "no node says in time what the cluster is made of";
                Err(Failure::unavailable(why, Mend::Nothing))
            })
            .map_err(|failure| failure.error)?;
        let masters = map.masters().iter();
        let asked = masters.map(|member| self.persist(To::Member(member), true, &question));
        try_join_all(asked).await?;
        match map.hole() {
            Some(slot) => {
                let why = format!("no node of the cluster has the slot {slot}");
                Err(RedisError::unavailable(why))
            }
            None => Ok(()),
        }
    }

    /// Whether keys are divided among several nodes: one script then reaches those of one hash tag only.
    pub(crate) const fn is_divided(&self) -> bool {
        matches!(self.way, Way::Cluster(_))
    }

    /// Whether it is known that nobody answers.
    pub(crate) fn is_down(&self) -> bool {
        match &self.way {
            Way::One(member) => member.breaker.is_open(),
            Way::Cluster(cluster) => cluster.is_down(),
        }
    }

    /// Where a key is now: for connections that listen. In a cluster, it may be elsewhere soon.
    pub(crate) async fn address(&self, key: &[u8]) -> Result<Address, RedisError> {
        let member = timeout_at(Instant::now() + self.patience, self.member(Some(key)))
            .await
            .unwrap_or_else(|_| Err(Failure::unavailable("no answer in time", Mend::Nothing)));
        match member {
            Ok(member) => Ok(member.node.address().clone()),
            Err(failure) => Err(failure.error),
        }
    }

    async fn member(&self, key: Option<&[u8]>) -> Result<Arc<Member>, Failure> {
        match &self.way {
            Way::One(member) => Ok(Arc::clone(member)),
            Way::Cluster(cluster) => cluster.member(key).await,
        }
    }

    /// Asks until there is an answer, or nothing helps, or the deadline is there. What was surely not done is asked again
    /// in any case; what may have been done, if it may be done `again`.
    async fn persist(
        &self,
        to: To<'_>,
        again: bool,
        question: &Question<'_>,
    ) -> Result<Value, RedisError> {
        let deadline = Instant::now() + self.patience;
        let mut pause = Duration::ZERO;
        let mut admitted: Option<Arc<Member>> = None;
        let mut redirected: Option<(Arc<Member>, bool)> = None;
        let mut redirections = 0;
        // Whether an answer has not come already.
        let mut missed = false;
        loop {
            let aimed = match (redirected.take(), &to) {
                (Some(redirected), _) => Ok(redirected),
                (None, To::Member(member)) => Ok((Arc::clone(member), false)),
                (None, To::Key(key)) => match timeout_at(deadline, self.member(*key)).await {
                    Ok(member) => member.map(|member| (member, false)),
                    Err(_) => Err(Failure::unavailable("no answer in time", Mend::Nothing)),
                },
            };
            let (asked, answer) = match aimed {
                Err(failure) => (None, Err(failure)),
                Ok((member, asking)) => {
                    let is_new = !admitted.as_ref().is_some_and(|it| Arc::ptr_eq(it, &member));
                    if is_new && !member.breaker.admits(Instant::now()) {
                        return Err(RedisError::unavailable("it has not answered just before"));
                    }
                    let answer = member.node.put(question, asking, deadline).await;
                    admitted = Some(Arc::clone(&member));
                    (Some(member), answer)
                }
            };
            let failure = match answer {
                Ok(answer) => {
                    if let Some(member) = asked {
                        there(&member);
                    }
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            let now = Instant::now();
            let waits = matches!(failure.mend, Mend::Wait | Mend::Settle);
            if let (Way::Cluster(cluster), Some(member)) = (&self.way, &asked) {
                let named = match &failure.mend {
                    Mend::Moved(node) => Some((cluster.named(node, member), false)),
                    Mend::Ask(node) => Some((cluster.named(node, member), true)),
                    _ => None,
                };
                if let Some((named, asking)) = named {
                    there(member);
                    let named = named.map_err(|failure| failure.error)?;
                    if !asking {
                        cluster.read_soon(Some(Arc::clone(&named)));
                    }
                    redirections += 1;
                    if redirections > REDIRECTIONS || now >= deadline {
                        let why = "its nodes send the question to one another";
                        return Err(RedisError::unavailable(why));
                    }
                    redirected = Some((named, asking));
                    continue;
                }
                if failure.error.kind() == RedisErrorKind::Unavailable {
                    cluster.read_soon(None);
                }
            }
            if waits {
                pause = pause.max(NOT_YET);
            }
            let ends = matches!(
                failure.mend,
                Mend::Nothing | Mend::Late | Mend::Moved(_) | Mend::Ask(_)
            );
            let helps = !ends && now + pause < deadline;
            // Where nobody was found to ask, nothing was done.
            let may = waits
                || asked
                    .as_ref()
                    .is_none_or(|member| again && member.breaker.may_retry());
            if helps && may {
                missed |= !waits;
                sleep(pause).await;
                redirections = 0;
                pause = (2 * pause).clamp(NOT_YET, STILL_NOT);
                continue;
            }
            if let Some(member) = asked {
                // One that says no is there.
                let is_there =
                    failure.error.kind() == RedisErrorKind::Refused || failure.mend == Mend::Settle;
                let is_unknown = failure.mend == Mend::Late && !missed;
                if is_there {
                    member.breaker.answered();
                } else if !is_unknown && member.breaker.failed(now) {
                    let (error, node) = (&failure.error, member.name());
                    tracing::warn!(%error, %node, "Redis does not answer; callers do not wait for it any more");
                }
            }
            return Err(failure.error);
        }
    }
}

/// One has answered.
fn there(member: &Member) {
    if member.breaker.answered() {
        let node = member.name();
        tracing::info!(%node, "Redis answers again");
    }
}

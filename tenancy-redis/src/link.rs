//! The way to Redis: deadlines, another try where it can't harm, and a breaker where nothing helps.

mod address;
mod breaker;
mod cluster;
mod failure;
mod member;
mod node;
mod persistence;
mod slots;

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use redis::{Cmd, Value};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{RedisError, script::Script};
pub(crate) use address::Address;
use cluster::Cluster;
use failure::{Failure, Mend};
use member::Member;
use node::Question;
pub(crate) use node::Waits;
use persistence::{Persistence, STILL_NOT};

/// The longest time that anything is waited for. A clock ends somewhere.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

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
        let member = timeout_at(Instant::now() + self.patience, self.way.member(Some(key)))
            .await
            .unwrap_or_else(|_| Err(Failure::unavailable("no answer in time", Mend::Nothing)));
        match member {
            Ok(member) => Ok(member.node.address().clone()),
            Err(failure) => Err(failure.error),
        }
    }

    /// Asks until there is an answer, or nothing helps, or the deadline is there.
    async fn persist(
        &self,
        to: To<'_>,
        again: bool,
        question: &Question<'_>,
    ) -> Result<Value, RedisError> {
        let asking = Persistence::new(&self.way, self.patience, to, again, question);
        asking.answer().await
    }
}

impl Way {
    /// Who has the slot of a key.
    async fn member(&self, key: Option<&[u8]>) -> Result<Arc<Member>, Failure> {
        match self {
            Self::One(member) => Ok(Arc::clone(member)),
            Self::Cluster(cluster) => cluster.member(key).await,
        }
    }
}

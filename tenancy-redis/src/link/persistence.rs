//! One question on its way: asked until there is an answer, or nothing helps, or the deadline is there.

use std::{sync::Arc, time::Duration};

use redis::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    To, Way,
    failure::{Failure, Mend},
    member::Member,
    node::Question,
};
use crate::{RedisError, RedisErrorKind};

/// How long a caller waits before it asks a server again that said "not yet". A lost connection is replaced at once the
/// first time.
const NOT_YET: Duration = Duration::from_millis(5);

/// How long it waits at most, when the server says so again and again.
pub(super) const STILL_NOT: Duration = Duration::from_millis(40);

/// How often nodes of a cluster may send a question on.
const REDIRECTIONS: u32 = 5;

/// What is asked, of whom, and what has been tried. What was surely not done is asked again in any case; what may have
/// been done, if it may be done `again`.
pub(super) struct Persistence<'a> {
    way: &'a Way,
    to: To<'a>,
    again: bool,
    question: &'a Question<'a>,
    deadline: Instant,
    /// How long is waited before the next attempt.
    pause: Duration,
    /// Whose breaker has let this question through.
    admitted: Option<Arc<Member>>,
    /// Where it was sent on to, and whether for this time only.
    redirected: Option<(Arc<Member>, bool)>,
    redirections: u32,
    /// Whether an answer has not come already.
    missed: bool,
}

/// An attempt without an answer, and who was asked, if anybody was found.
struct Failed {
    asked: Option<Arc<Member>>,
    failure: Failure,
}

impl Failed {
    /// Whether it was surely not done, and may be tried again for that.
    const fn is_not_yet(&self) -> bool {
        matches!(self.failure.mend, Mend::Wait | Mend::Settle)
    }

    /// Whether the same question can have another answer.
    const fn may_pass(&self) -> bool {
        !matches!(
            self.failure.mend,
            Mend::Nothing | Mend::Late | Mend::Moved(_) | Mend::Ask(_)
        )
    }
}

impl<'a> Persistence<'a> {
    pub(super) fn new(
        way: &'a Way,
        patience: Duration,
        to: To<'a>,
        again: bool,
        question: &'a Question<'a>,
    ) -> Self {
        Self {
            way,
            to,
            again,
            question,
            deadline: Instant::now() + patience,
            pause: Duration::ZERO,
            admitted: None,
            redirected: None,
            redirections: 0,
            missed: false,
        }
    }

    pub(super) async fn answer(mut self) -> Result<Value, RedisError> {
        loop {
            let failed = match self.attempt().await? {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if self.is_sent_on(&failed)? {
                continue;
            }
            if !self.may_try_again(&failed) {
                return Err(give_up(failed, self.missed));
            }
            self.missed |= !failed.is_not_yet();
            sleep(self.pause).await;
            self.redirections = 0;
            self.pause = (2 * self.pause).clamp(NOT_YET, STILL_NOT);
        }
    }

    /// Asks once. The outer error is that nobody is asked.
    async fn attempt(&mut self) -> Result<Result<Value, Failed>, RedisError> {
        let (member, asking) = match self.aim().await {
            Ok(aimed) => aimed,
            Err(failure) => {
                let asked = None;
                return Ok(Err(Failed { asked, failure }));
            }
        };
        let is_admitted = |it: &Arc<Member>| Arc::ptr_eq(it, &member);
        if !self.admitted.as_ref().is_some_and(is_admitted)
            && !member.breaker.admits(Instant::now())
        {
            return Err(RedisError::unavailable("it has not answered just before"));
        }
        let answer = member.node.put(self.question, asking, self.deadline).await;
        self.admitted = Some(Arc::clone(&member));
        Ok(match answer {
            Ok(answer) => {
                there(&member);
                Ok(answer)
            }
            Err(failure) => Err(Failed {
                asked: Some(member),
                failure,
            }),
        })
    }

    /// Whom to ask, and whether only because a slot is on its way there.
    async fn aim(&mut self) -> Result<(Arc<Member>, bool), Failure> {
        if let Some(redirected) = self.redirected.take() {
            return Ok(redirected);
        }
        let key = match &self.to {
            To::Member(member) => return Ok((Arc::clone(member), false)),
            To::Key(key) => *key,
        };
        match timeout_at(self.deadline, self.way.member(key)).await {
            Ok(member) => member.map(|member| (member, false)),
            Err(_) => Err(Failure::unavailable("no answer in time", Mend::Nothing)),
        }
    }

    /// Whether a node of a cluster has named another one, which is asked next. The map of the cluster is read again where
    /// it may be wrong.
    fn is_sent_on(&mut self, failed: &Failed) -> Result<bool, RedisError> {
        let (Way::Cluster(cluster), Some(member)) = (self.way, &failed.asked) else {
            return Ok(false);
        };
        let (node, asking) = match &failed.failure.mend {
            Mend::Moved(node) => (node, false),
            Mend::Ask(node) => (node, true),
            _ => {
                if failed.failure.error.kind() == RedisErrorKind::Unavailable {
                    cluster.read_soon(None);
                }
                return Ok(false);
            }
        };
        there(member);
        let named = cluster.named(node, member);
        let named = named.map_err(|failure| failure.error)?;
        if !asking {
            cluster.read_soon(Some(Arc::clone(&named)));
        }
        self.redirections += 1;
        if self.redirections > REDIRECTIONS || Instant::now() >= self.deadline {
            let why = "its nodes send the question to one another";
            return Err(RedisError::unavailable(why));
        }
        self.redirected = Some((named, asking));
        Ok(true)
    }

    /// Whether another attempt may help, is allowed, and comes in time.
    fn may_try_again(&mut self, failed: &Failed) -> bool {
        if failed.is_not_yet() {
            self.pause = self.pause.max(NOT_YET);
        }
        if !failed.may_pass() || Instant::now() + self.pause >= self.deadline {
            return false;
        }
        // Where nobody was found to ask, nothing was done.
        let is_allowed = |member: &Arc<Member>| self.again && member.breaker.may_retry();
        failed.is_not_yet() || failed.asked.as_ref().is_none_or(is_allowed)
    }
}

/// Tells the breaker of who was asked last, and gives the error that is left.
fn give_up(Failed { asked, failure }: Failed, missed: bool) -> RedisError {
    let Some(member) = asked else {
        return failure.error;
    };
    // One that says no is there.
    let is_there = failure.error.kind() == RedisErrorKind::Refused || failure.mend == Mend::Settle;
    let is_unknown = failure.mend == Mend::Late && !missed;
    if is_there {
        member.breaker.answered();
    } else if !is_unknown && member.breaker.failed(Instant::now()) {
        let (error, node) = (&failure.error, member.name());
        tracing::warn!(%error, %node, "Redis does not answer; callers do not wait for it any more");
    }
    failure.error
}

/// One has answered.
fn there(member: &Member) {
    if member.breaker.answered() {
        let node = member.name();
        tracing::info!(%node, "Redis answers again");
    }
}

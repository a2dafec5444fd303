//! `RedisError`: why Redis has no answer.

use std::fmt;

use tenancy_core::{Refusal, RefusalKind};

/// What kind of error it is.
///
/// ```
/// use tenancy_redis::RedisErrorKind;
///
/// // Whoever asks again may have an answer then.
/// let passes = |kind| matches!(kind, RedisErrorKind::Unavailable);
/// assert!(!passes(RedisErrorKind::Refused));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedisErrorKind {
    /// It can't be reached, or did not answer in time. Whether it did what it was asked is not known.
    Unavailable,
    /// It said no: a wrong password, a command that its ACL forbids, no memory left.
    Refused,
    /// It answered something that the question has no such answer for.
    Unexpected,
    /// It was not asked: a name, a value or a time is none that can be asked with.
    Invalid,
    /// It was not asked: the context is of another engine.
    WrongEngine,
}

/// Why Redis has no answer. Its message has no key, no value and no password in it.
///
/// ```no_run
/// use tenancy_redis::{RedisClient, RedisErrorKind};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = RedisClient::new("redis://127.0.0.1:6379")?;
/// match client.check().await {
///     Err(error) if error.kind() == RedisErrorKind::Unavailable => println!("try later: {error}"),
///     other => other?,
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisError {
    kind: RedisErrorKind,
    why: Box<str>,
}

impl RedisError {
    pub(crate) fn new(kind: RedisErrorKind, why: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            why: why.into(),
        }
    }

    pub(crate) fn unavailable(why: impl Into<Box<str>>) -> Self {
        Self::new(RedisErrorKind::Unavailable, why)
    }

    pub(crate) fn unexpected(why: impl Into<Box<str>>) -> Self {
        Self::new(RedisErrorKind::Unexpected, why)
    }

    pub(crate) fn invalid(why: impl Into<Box<str>>) -> Self {
        Self::new(RedisErrorKind::Invalid, why)
    }

    /// What a request that can't go on without this answer is refused with: status 503 if Redis is out of reach, else 500.
    ///
    /// The adapters' `Error`, with their feature `redis`, is made of a `RedisError` so, by `?`. A handler that can go on
    /// without Redis looks at [`kind`](Self::kind) instead.
    ///
    /// # Security
    /// The caller is told that the service can't serve the request now, and nothing of Redis.
    ///
    /// ```no_run
    /// use tenancy_core::Refusal;
    /// use tenancy_redis::TenantData;
    ///
    /// async fn count(data: &TenantData) -> Result<i64, Refusal> {
    ///     data.add("visits", 1).await.map_err(|error| error.refusal())
    /// }
    /// ```
    #[must_use = "it is refused by returning it"]
    pub fn refusal(&self) -> Refusal {
        match self.kind {
            RedisErrorKind::Unavailable => {
                Refusal::new(RefusalKind::Unavailable, "redis-unavailable")
            }
            RedisErrorKind::Refused => Refusal::new(RefusalKind::Misconfigured, "redis-refused"),
            RedisErrorKind::WrongEngine => {
                Refusal::new(RefusalKind::Misconfigured, "redis-wrong-engine")
            }
            RedisErrorKind::Unexpected | RedisErrorKind::Invalid => {
                Refusal::new(RefusalKind::Internal, "redis-failed")
            }
        }
    }

    /// What kind of error it is.
    #[must_use]
    pub const fn kind(&self) -> RedisErrorKind {
        self.kind
    }
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RedisErrorKind::Unavailable => write!(f, "Redis does not answer: {}", self.why),
            RedisErrorKind::Refused => write!(f, "Redis refuses: {}", self.why),
            RedisErrorKind::Unexpected => {
                write!(f, "Redis answers what was not asked: {}", self.why)
            }
            RedisErrorKind::Invalid | RedisErrorKind::WrongEngine => {
                write!(f, "Redis was not asked: {}", self.why)
            }
        }
    }
}

impl fmt::Debug for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisError({self})")
    }
}

impl std::error::Error for RedisError {}

//! What crosses tenant boundaries, or steps around a check. Everything here takes a reason.
//!
//! # Security
//! Search a code base for `danger::` to find every place where it could see more than one tenant.

use std::fmt;

use redis::Value;
use tenancy_core::{Actor, AuditEntry, AuditError, Outcome, Tenancy, TenantId, UserId};

use crate::{OperatorRedis, PurgeReport, RedisClient, RedisError, link::Link};

/// Why nothing was done, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DangerError {
    /// No reason was given.
    #[error("reaching across tenants in Redis needs a reason for the audit trail")]
    NoReason,
    /// The audit trail could not be written.
    #[error("the audit trail was not written: {0}")]
    Audit(#[source] AuditError),
    /// Redis did not answer, or refused.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

/// Removes everything that a tenant has in Redis – data of all epochs, locks, counters, operations –, and looks through
/// the whole server once more for what is left.
///
/// For the erasure of a tenant that is closed: as long as a process serves it, more is written. An entry is durable before
/// anything is removed, and another one has the report. In a cluster whose slots move meanwhile, do it again afterwards.
///
/// # Errors
/// A [`DangerError`]: before anything is removed, if the reason is blank, or the engine has no durable audit trail, such
/// as `PgAuditSink` writes. Later on, what was removed is removed, and a second call removes the rest.
///
/// # Security
/// Nothing here checks that `operator` is one: guard whatever leads here.
///
/// ```no_run
/// # use tenancy_core::{Tenancy, TenantId, UserId};
/// # use tenancy_redis::{OperatorRedis, danger};
/// # async fn example(tenancy: &Tenancy, redis: &OperatorRedis, me: UserId, acme: TenantId) -> Result<(), danger::DangerError> {
/// let report = danger::purge(tenancy, redis, me, acme, "erasure request 17").await?;
/// assert!(report.is_complete());
/// # Ok(())
/// # }
/// ```
pub async fn purge(
    tenancy: &Tenancy,
    redis: &OperatorRedis,
    operator: UserId,
    tenant: TenantId,
    reason: &str,
) -> Result<PurgeReport, DangerError> {
    let entry = |outcome| entry(tenancy, "danger.purge-redis", operator, reason, outcome);
    record(tenancy, entry(Outcome::Allowed).tenant(tenant), reason).await?;
    let purged = redis.purge(tenant).await;
    let told = match &purged {
        Ok(report) => {
            let outcome = if report.is_complete() {
                Outcome::Allowed
            } else {
                Outcome::Failed
            };
            entry(outcome)
                .details(serde_json::json!({ "removed": report.removed, "left": report.left }))
        }
        Err(error) => {
            entry(Outcome::Failed).details(serde_json::json!({ "error": error.to_string() }))
        }
    };
    record(tenancy, told.tenant(tenant), reason).await?;
    Ok(purged?)
}

/// A Redis without tenants: any command, on any name. Made by [`raw`].
///
/// ```no_run
/// # use tenancy_core::{Tenancy, UserId};
/// # use tenancy_redis::{RedisClient, danger};
/// # async fn example(tenancy: &Tenancy, client: &RedisClient, me: UserId) -> Result<(), danger::DangerError> {
/// let redis = danger::raw(tenancy, client, me, "ticket 4711: how full is it").await?;
/// if let danger::RawReply::Int(names) = redis.ask(&["DBSIZE"]).await? {
///     println!("{names} names");
/// }
/// # Ok(())
/// # }
/// ```
pub struct RawRedis {
    link: Link,
}

/// What Redis answers to a command. Its `Debug` has no values.
///
/// ```
/// use tenancy_redis::danger::RawReply;
///
/// let reply = RawReply::List(vec![RawReply::Bytes(b"secret".to_vec()), RawReply::Int(7)]);
/// assert_eq!(format!("{reply:?}"), "List(2 replies)");
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum RawReply {
    /// Nothing.
    Nil,
    /// A number.
    Int(i64),
    /// Bytes, or text.
    Bytes(Vec<u8>),
    /// Several; a map is its keys, each before its value.
    List(Vec<RawReply>),
}

/// Opens a way to Redis without tenants, for an operator and a reason. It has connections of its own.
///
/// # Errors
/// A [`DangerError`] if the reason is blank, or the trail can't be written. Nothing is asked before the entry is durable.
///
/// # Security
/// Nothing here checks that `operator` is one, nor what is asked: guard whatever leads here.
pub async fn raw(
    tenancy: &Tenancy,
    client: &RedisClient,
    operator: UserId,
    reason: &str,
) -> Result<RawRedis, DangerError> {
    let entry = entry(
        tenancy,
        "danger.raw-redis",
        operator,
        reason,
        Outcome::Allowed,
    );
    record(tenancy, entry, reason).await?;
    Ok(RawRedis {
        link: client.beside(),
    })
}

impl RawRedis {
    /// Asks a command, word by word, once. In a cluster, the second word counts as its key, unless the nodes say otherwise.
    ///
    /// # Errors
    /// A [`RedisError`]; without an answer, the command may have been done.
    pub async fn ask<W: AsRef<[u8]>>(&self, words: &[W]) -> Result<RawReply, RedisError> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word.as_ref());
        }
        if words.is_empty() {
            return Err(RedisError::invalid("a command has a name"));
        }
        let key = words.get(1).map(AsRef::as_ref);
        RawReply::of(self.link.ask_once(key, &command).await?)
    }
}

impl RawReply {
    fn of(value: Value) -> Result<Self, RedisError> {
        let list = |values: Vec<Value>| values.into_iter().map(Self::of).collect::<Result<_, _>>();
        Ok(match value {
            Value::Nil => Self::Nil,
            Value::Int(number) => Self::Int(number),
            Value::Boolean(is) => Self::Int(is.into()),
            Value::BulkString(bytes) => Self::Bytes(bytes),
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => {
                Self::Bytes(text.into_bytes())
            }
            Value::Okay => Self::Bytes(b"OK".to_vec()),
            Value::Double(number) => Self::Bytes(number.to_string().into_bytes()),
            Value::Array(values) | Value::Set(values) => Self::List(list(values)?),
            Value::Map(pairs) => Self::List(list(
                pairs
                    .into_iter()
                    .flat_map(|(key, value)| [key, value])
                    .collect(),
            )?),
            Value::ServerError(_) => {
                return Err(RedisError::unexpected("a part of the answer is an error"));
            }
            _ => return Err(RedisError::unexpected("the answer is of a new type")),
        })
    }
}

impl fmt::Debug for RawReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("Nil"),
            Self::Int(_) => f.write_str("Int"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::List(replies) => write!(f, "List({} replies)", replies.len()),
        }
    }
}

impl fmt::Debug for RawRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRedis").finish_non_exhaustive()
    }
}

fn entry(
    tenancy: &Tenancy,
    action: &'static str,
    operator: UserId,
    reason: &str,
    outcome: Outcome,
) -> AuditEntry {
    AuditEntry::new(tenancy.clock().now(), action, outcome)
        .actor(Actor::User(operator))
        .reason(reason.to_owned())
}

async fn record(tenancy: &Tenancy, entry: AuditEntry, reason: &str) -> Result<(), DangerError> {
    if reason.trim().is_empty() {
        return Err(DangerError::NoReason);
    }
    let recorded = tenancy.audit().record_durably(entry).await;
    recorded.map_err(DangerError::Audit)
}

//! `TenantStream`: entries that are read by many, or shared among a group.

use std::{fmt, time::Duration};

use redis::Value;

use super::{Stored, TenantData, collection, reply};
use crate::RedisError;

/// The field of each entry that says whose it is. Readers look at it.
const OWNER: &[u8] = b"tenant";

/// Which entry of a stream it is. Later entries have greater ids.
///
/// ```
/// use tenancy_redis::StreamId;
///
/// // Before the first entry.
/// assert_eq!(StreamId::START.to_string(), "0-0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    millis: u64,
    number: u64,
}

impl StreamId {
    /// Before the first entry.
    pub const START: Self = Self {
        millis: 0,
        number: 0,
    };

    fn read(value: Value) -> Result<Self, RedisError> {
        let text = reply::text(value)?;
        let id = text.split_once('-').and_then(|(millis, number)| {
            Some(Self {
                millis: millis.parse().ok()?,
                number: number.parse().ok()?,
            })
        });
        id.ok_or_else(|| RedisError::unexpected("this is no id of an entry"))
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

/// An entry of a stream: see [`TenantStream`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamEntry {
    /// Which one.
    pub id: StreamId,
    /// Its fields with their values, as they were appended.
    pub fields: Vec<(Stored, Stored)>,
}

collection! {
    /// A stream of a tenant's. Each entry says whose it is, and a reader looks at that.
    ///
    /// ```no_run
    /// # async fn example(data: &tenancy_redis::TenantData) -> Result<(), tenancy_redis::RedisError> {
    /// use std::time::Duration;
    ///
    /// let mails = data.stream("mails");
    /// mails.append(&[("to", "alice@example.com")], 100_000).await?;
    ///
    /// // A worker. Entries that another one has kept for a minute are taken over.
    /// let group = mails.group("senders", "worker-1");
    /// let mut work = group.take_over(Duration::from_secs(60), 10).await?;
    /// work.extend(group.read(10).await?);
    /// for entry in work {
    ///     // … send it …
    ///     group.done(&[entry.id]).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// No call waits for entries: a worker asks again after a pause, or when it hears a
    /// [channel](TenantData::subscribe).
    TenantStream
}

impl TenantStream {
    /// Appends an entry, and returns its id. About `keep` entries are kept, the newest. `XADD MAXLEN ~`.
    ///
    /// # Errors
    /// As [`TenantData::get`], as for all calls.
    pub async fn append<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        fields: &[(F, V)],
        keep: u64,
    ) -> Result<StreamId, RedisError> {
        let call = self.once("XADD").word("MAXLEN").word("~").number(keep);
        let owner = self.data.context().tenant_id().to_string();
        let call = call.word("*").word(OWNER).word(owner).pairs(fields);
        StreamId::read(call.ask(&self.data).await?)
    }

    /// The entries behind an id, at most so many. `XRANGE`.
    ///
    /// # Errors
    /// As [`append`](Self::append); also if an entry says that it is another tenant's.
    pub async fn read_after(
        &self,
        id: StreamId,
        count: u32,
    ) -> Result<Vec<StreamEntry>, RedisError> {
        let call = self.read("XRANGE").word(format!("({id}")).word("+");
        let answer = call.word("COUNT").number(count).ask(&self.data).await?;
        entries(&self.data, answer)
    }

    /// How many entries there are. `XLEN`.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn count(&self) -> Result<u64, RedisError> {
        reply::count(self.read("XLEN").ask(&self.data).await?)
    }

    /// A group of consumers, as one of them. Redis makes it with its first call, to begin with the first entry.
    pub fn group(&self, group: impl AsRef<[u8]>, consumer: impl AsRef<[u8]>) -> StreamGroup {
        StreamGroup {
            stream: self.clone(),
            group: group.as_ref().to_vec(),
            consumer: consumer.as_ref().to_vec(),
        }
    }
}

/// A consumer of a stream's group: each entry goes to one of the group. See [`TenantStream`].
#[derive(Clone)]
#[must_use = "it does nothing before it is asked"]
pub struct StreamGroup {
    stream: TenantStream,
    group: Vec<u8>,
    consumer: Vec<u8>,
}

impl StreamGroup {
    /// Entries that no consumer of the group has had, at most so many. They are this consumer's until they are
    /// [done](Self::done). `XREADGROUP`.
    ///
    /// # Errors
    /// As [`TenantStream::read_after`]. Entries whose answer is lost can be [taken over](Self::take_over).
    pub async fn read(&self, count: u32) -> Result<Vec<StreamEntry>, RedisError> {
        let call = super::Call::once("XREADGROUP").in_group().word("GROUP");
        let call = call.word(&self.group).word(&self.consumer).word("COUNT");
        let call = call
            .number(count.max(1))
            .word("STREAMS")
            .name(&self.stream.name);
        let answer = call.word(">").ask(&self.stream.data).await?;
        // One stream was asked for, and it is told with its name.
        match reply::list(answer)?.pop() {
            Some(told) => {
                let [_, told] = reply::parts(told)?;
                entries(&self.stream.data, told)
            }
            None => Ok(Vec::new()),
        }
    }

    /// Entries that a consumer – perhaps this one – has had for this time and not done, at most so many. They are this
    /// consumer's then. `XAUTOCLAIM`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn take_over(
        &self,
        after: Duration,
        count: u32,
    ) -> Result<Vec<StreamEntry>, RedisError> {
        let call = self.stream.once("XAUTOCLAIM").in_group();
        let call = call.word(&self.group).word(&self.consumer);
        let call = call.number(after.as_millis()).word("0-0").word("COUNT");
        let answer = call.number(count.max(1)).ask(&self.stream.data).await?;
        let told = reply::list(answer)?.into_iter().nth(1);
        entries(&self.stream.data, told.unwrap_or(Value::Nil))
    }

    /// Entries are done, and given to nobody any more; returns how many were not yet. `XACK`.
    ///
    /// # Errors
    /// As [`TenantData::get`].
    pub async fn done(&self, entries: &[StreamId]) -> Result<u64, RedisError> {
        let ids: Vec<String> = entries.iter().map(ToString::to_string).collect();
        let call = self.stream.once("XACK").word(&self.group).words(&ids);
        reply::count(call.ask(&self.stream.data).await?)
    }
}

impl fmt::Debug for StreamGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGroup")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// Reads entries, each of which must say that it is this tenant's.
fn entries(data: &TenantData, answer: Value) -> Result<Vec<StreamEntry>, RedisError> {
    let owner = data.context().tenant_id().to_string();
    let mut entries = Vec::new();
    for told in reply::list(answer)? {
        // What was trimmed while a consumer had it.
        if told == Value::Nil {
            continue;
        }
        let [id, fields] = reply::parts(told)?;
        if fields == Value::Nil {
            continue;
        }
        let mut fields = reply::pairs(fields)?;
        let is_own = fields
            .first()
            .is_some_and(|(name, of)| name.as_ref() == OWNER && of.as_ref() == owner.as_bytes());
        if !is_own {
            return Err(RedisError::unexpected(
                "an entry of this stream is not this tenant's",
            ));
        }
        fields.remove(0);
        let id = StreamId::read(id)?;
        entries.push(StreamEntry { id, fields });
    }
    Ok(entries)
}

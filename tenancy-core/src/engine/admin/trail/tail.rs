//! The audit trail as it grows: each new entry once, whenever its transaction commits.

use std::{collections::BTreeSet, fmt, time::Duration};

use futures_util::stream::{self, Stream};
use tokio::time::Instant;
use uuid::{Builder, Uuid};

use crate::engine::admin::{Admin, list::MAX_PAGE};
use crate::{AuditEntry, AuditFilter, StoreError, StoreErrorKind, TenantId};

/// How many ids of entries are remembered. With more of them in the time that is looked back on, that time is shorter.
const MOST_KNOWN: usize = 1 << 17;

/// How the audit trail is followed.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::TailOptions;
///
/// let often = TailOptions::new().poll_interval(Duration::from_millis(200));
/// # let _ = often;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct TailOptions {
    poll_interval: Duration,
    look_back: Duration,
}

impl Default for TailOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl TailOptions {
    /// A poll each 2 seconds, which looks back for 30 seconds.
    pub const fn new() -> Self {
        Self {
            poll_interval: Duration::from_secs(2),
            look_back: Duration::from_secs(30),
        }
    }

    /// How long after a poll the next one comes. Default: 2 s; 10 ms at least.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// For how long after an entry was made it may reach the store, and is told all the same. Default: 30 s; an hour at
    /// most.
    ///
    /// An entry has its id when the change begins, and is in the store when its transaction has committed or the queue of
    /// its sink was written. Give more than the longest of these, and than the clocks of the processes differ by. Each
    /// poll reads again what came within this time, and tells what it has not told.
    pub const fn look_back(mut self, time: Duration) -> Self {
        self.look_back = time;
        self
    }
}

/// Follows the audit trail; made by [`Admin::tail_entries`]. It ends when it is dropped.
///
/// ```
/// # use tenancy_core::{AuditTail, StoreError};
/// async fn first(tail: &mut AuditTail) -> Result<Option<String>, StoreError> {
///     let entries = tail.next().await?;
///     Ok(entries.first().map(|entry| entry.action.to_string()))
/// }
/// # let _ = first;
/// ```
#[must_use = "a tail tells what it is asked for"]
pub struct AuditTail {
    admin: Admin,
    tenant: Option<TenantId>,
    filter: AuditFilter,
    options: TailOptions,
    /// Entries of before are not looked for any more.
    floor: Uuid,
    /// The entries from the floor on that earlier polls have found.
    known: BTreeSet<Uuid>,
    /// Those that the poll under way has found, and that the next one may find again.
    fresh: BTreeSet<Uuid>,
    /// Where the poll that is under way goes on.
    poll: Option<Poll>,
    due: Instant,
}

/// A poll: pages from the newest entry on, down to the floor.
#[derive(Debug, Clone, Copy)]
struct Poll {
    after: Option<Uuid>,
    /// The floor once this poll has ended.
    next_floor: Uuid,
}

impl AuditTail {
    pub(super) async fn begin(
        admin: Admin,
        tenant: Option<TenantId>,
        filter: AuditFilter,
        options: TailOptions,
    ) -> Result<Self, StoreError> {
        let look_back = options.look_back.min(Duration::from_secs(3_600));
        let poll_interval = options.poll_interval.max(Duration::from_millis(10));
        let mut tail = Self {
            admin,
            tenant,
            filter,
            options: TailOptions {
                poll_interval,
                look_back,
            },
            floor: floor(look_back),
            known: BTreeSet::new(),
            fresh: BTreeSet::new(),
            poll: None,
            due: Instant::now(),
        };
        // What is there now is not new.
        while let Some(page) = tail.page().await? {
            drop(page);
        }
        Ok(tail)
    }

    /// Waits for new entries and tells them, 1,000 at most. Those of one answer are in the order of their ids; one that
    /// reached the store late comes after entries with later ids.
    ///
    /// After [`Unavailable`](crate::StoreErrorKind::Unavailable) it may be asked again, waits for the next poll, and
    /// skips nothing. So it may
    /// when the call was dropped while it waited.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer;
    /// [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) if the caller may read no more.
    pub async fn next(&mut self) -> Result<Vec<AuditEntry>, StoreError> {
        let next = self.find().await;
        if next.is_err() {
            // Whoever asks again at once asks a store that is away no more often than one that answers.
            self.due = Instant::now() + self.options.poll_interval;
        }
        next
    }

    async fn find(&mut self) -> Result<Vec<AuditEntry>, StoreError> {
        loop {
            tokio::time::sleep_until(self.due).await;
            if self.poll.is_none() {
                self.admin.author.may_read_on(self.tenant).await?;
            }
            while let Some(page) = self.page().await? {
                if !page.is_empty() {
                    return Ok(page);
                }
            }
        }
    }

    /// The same as a stream. It ends with the error that says that the caller may read no more.
    ///
    /// ```
    /// # use tenancy_core::{AuditFilter, StoreError, TailOptions, Tenancy, danger};
    /// # async fn example(tenancy: Tenancy) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("the stream of the console")?);
    /// let all = AuditFilter::new();
    /// let tail = admin.tail_entries(None, &all, TailOptions::new()).await?;
    /// let batches = tail.into_stream();
    /// # drop(batches);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_stream(
        self,
    ) -> impl Stream<Item = Result<Vec<AuditEntry>, StoreError>> + Send + 'static {
        stream::unfold(Some(self), |tail| async move {
            let mut tail = tail?;
            let next = tail.next().await;
            let ends = matches!(&next, Err(error) if error.kind() != StoreErrorKind::Unavailable);
            Some((next, (!ends).then_some(tail)))
        })
    }

    /// The new entries of the next page of a poll; `None` if the poll has ended. Nothing is changed until the page is
    /// there, so that it may be dropped.
    async fn page(&mut self) -> Result<Option<Vec<AuditEntry>>, StoreError> {
        // Before the first page is read: what comes later is not below it.
        let poll = *self.poll.get_or_insert_with(|| Poll {
            after: None,
            next_floor: floor(self.options.look_back).max(self.floor),
        });
        if poll.after.is_some_and(|after| after < self.floor) {
            self.end_poll(poll);
            return Ok(None);
        }
        let directory = self.admin.stores().audit_directory()?;
        let page = directory
            .list_entries(self.tenant, &self.filter, poll.after, MAX_PAGE)
            .await?;
        let Some(last) = page.last() else {
            self.end_poll(poll);
            return Ok(None);
        };
        let mut poll = Poll {
            after: Some(last.id),
            ..poll
        };
        let (floor, known) = (self.floor, &self.known);
        let mut new: Vec<_> = (page.into_iter())
            .filter(|entry| entry.id >= floor && !known.contains(&entry.id))
            .collect();
        new.reverse();
        self.fresh.extend(
            new.iter()
                .map(|entry| entry.id)
                .filter(|id| *id >= poll.next_floor),
        );
        poll.next_floor = poll.next_floor.max(trimmed(&mut self.fresh));
        self.poll = Some(poll);
        Ok(Some(new))
    }

    fn end_poll(&mut self, poll: Poll) {
        self.known.append(&mut self.fresh);
        self.floor = (self.floor)
            .max(poll.next_floor)
            .max(trimmed(&mut self.known));
        self.known = self.known.split_off(&self.floor);
        self.poll = None;
        self.due = Instant::now() + self.options.poll_interval;
    }
}

/// Forgets the oldest where there are more than there is room for. Returns what is above all that was forgotten: what
/// was told is not told again, and so less is looked back.
fn trimmed(ids: &mut BTreeSet<Uuid>) -> Uuid {
    let mut above = Uuid::nil();
    while ids.len() > MOST_KNOWN
        && let Some(oldest) = ids.pop_first()
    {
        above = Uuid::from_u128(oldest.as_u128().saturating_add(1));
    }
    if !above.is_nil() {
        tracing::warn!(
            "more audit entries come than a tail can look back on; one that commits late may be left out"
        );
    }
    above
}

/// The lowest id that an entry can have which was made no longer ago than this.
fn floor(look_back: Duration) -> Uuid {
    let now = Uuid::now_v7()
        .get_timestamp()
        .map_or((0, 0), |now| now.to_unix());
    let made = Duration::new(now.0, now.1).saturating_sub(look_back);
    let millis = u64::try_from(made.as_millis()).unwrap_or(u64::MAX);
    // The bytes of the moment, and none behind: below every id of that moment.
    let mut bytes = *Builder::from_unix_timestamp_millis(millis, &[0; 10])
        .into_uuid()
        .as_bytes();
    if let Some(rest) = bytes.get_mut(6..) {
        rest.fill(0);
    }
    Uuid::from_bytes(bytes)
}

impl fmt::Debug for AuditTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditTail")
            .field("tenant", &self.tenant)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

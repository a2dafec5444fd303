//! What is asked of the database: each question is one message, and a transaction of its own.

use std::{
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{Row as _, postgres::PgRow, types::Uuid};
use tenancy_core::{
    Timestamp,
    quota::{
        Algorithm, CountersError, Holder, MAX_AMOUNT, Operation, OperationId, OwnedTake, Settled,
        Window,
    },
};

use crate::{connections::Connections, options::Timeouts, session};

/// How often rows are removed that change no answer.
const CLEANS_EACH: Duration = Duration::from_secs(60);

/// How many of them at a time, of each table.
const CLEANS: u32 = 1_000;

/// How long something that is to be given back waits for its transaction.
const OFFER: Duration = Duration::from_secs(60);

/// How long a settlement is remembered that nobody but this process knows of. It may send it again, and does so soon.
const SENT_AGAIN: Duration = Duration::from_secs(600);

/// The functions of the schema `tenancy`.
pub(super) struct Store {
    pool: Connections,
    /// This process, as far as leases go.
    lessee: Uuid,
    turn: AtomicI64,
    remembered: Duration,
    patience: Duration,
    cleaned: Mutex<Option<Instant>>,
}

/// What a process reports of a period, and asks for.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) holder: Holder,
    pub(super) limit: Box<str>,
    pub(super) window: Window,
    pub(super) is_fresh: bool,
    pub(super) in_hand: u64,
    pub(super) consumed: i64,
    pub(super) wanted: u64,
    pub(super) smallest: u64,
    pub(super) batch: u64,
    pub(super) included: u64,
    pub(super) most: Option<u64>,
    pub(super) warn_at: Box<[u8]>,
}

/// What a process was granted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) debited: u64,
    pub(super) granted: u64,
    pub(super) crossed: u8,
}

/// What became of reservations.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    pub(super) is_repeated: bool,
    pub(super) is_denied: bool,
    /// Of each take.
    pub(super) each: Vec<ReservedOne>,
}

/// What became of one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReservedOne {
    pub(super) used: u64,
    pub(super) is_denied: bool,
    pub(super) crossed: u8,
}

/// Whether a settlement gives back all that an operation has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivesBack {
    NotAll,
    All,
    /// All of it, unless a repetition was granted meanwhile.
    AllUnlessShared,
}

impl Store {
    pub(super) fn new(pool: Connections, remembered: Duration, patience: Duration) -> Self {
        Self {
            pool,
            lessee: Uuid::now_v7(),
            turn: AtomicI64::new(0),
            remembered,
            patience,
            cleaned: Mutex::new(None),
        }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Calls a function in a transaction of its own.
    ///
    /// # Security
    /// What is said goes out in hexadecimal digits.
    async fn call(&self, function: &str, said: &Value) -> Result<Vec<PgRow>, CountersError> {
        let said = said.to_string();
        let mut sql = String::with_capacity(2 * said.len() + 200);
        let _ = write!(
            sql,
            "SELECT 'counters' AS part, c.* FROM tenancy.{function}(convert_from(decode('"
        );
        for byte in said.bytes() {
            let _ = write!(sql, "{byte:02x}");
        }
        sql.push_str("', 'hex'), 'UTF8')::jsonb) AS c");
        self.run(&sql).await
    }

    async fn run(&self, sql: &str) -> Result<Vec<PgRow>, CountersError> {
        let limits = Timeouts {
            statement: Some(self.patience),
            lock: Some(self.patience),
            idle_in_transaction: Some(self.patience),
        };
        let batch = session::nobodys_batch("BEGIN", &limits).whole(sql);
        let rows = session::run(&self.pool, batch).await;
        let mut rows = rows.map_err(CountersError::unavailable)?;
        // The settings' answers have no such column.
        rows.retain(|row| row.try_get::<&str, _>("part").is_ok());
        Ok(rows)
    }

    /// Reports what is in hand, and leases more.
    pub(super) async fn lease(&self, report: &Report) -> Result<Lease, CountersError> {
        let said = json!({
            "tenant": report.holder.home().map(|tenant| tenant.to_string()),
            "holder": report.holder.to_string(),
            "limit_name": report.limit,
            "starts": report.window.start.as_unix_micros(),
            "ends": report.window.end.as_unix_micros(),
            "lessee": self.lessee.to_string(),
            "turn": self.turn.fetch_add(1, Ordering::Relaxed),
            "fresh": report.is_fresh,
            "in_hand": report.in_hand,
            "consumed": report.consumed,
            "wanted": report.wanted,
            "smallest": report.smallest,
            "batch": report.batch,
            "included": report.included,
            "most": report.most,
            "warn": report.warn_at,
        });
        let rows = self.call("quota_lease", &said).await?;
        let row = rows.first().ok_or_else(silent)?;
        Ok(Lease {
            debited: amount(row, "debited")?,
            granted: amount(row, "granted")?,
            crossed: percent(row, "crossed")?,
        })
    }

    /// Reserves of what is held, and remembers the operation if it may come again; or only looks whether it could.
    pub(super) async fn reserve(
        &self,
        operation: Operation,
        takes: &[OwnedTake],
        looks_only: bool,
        now: Timestamp,
    ) -> Result<Reserved, CountersError> {
        let remembered = operation.is_repeatable().then(|| micros(self.remembered));
        let each = takes.iter().enumerate().map(|(place, take)| {
            let (most, lasts) = held(take);
            about(
                take,
                json!({
                    "place": place,
                    "amount": stored(take.amount),
                    "included": included(take),
                    "most": most,
                    "lasts": micros(lasts),
                    "warn": take.warn_at,
                }),
            )
        });
        let said = json!({
            "operation": id(operation.id()),
            "now": now.as_unix_micros(),
            "dry": looks_only,
            "remembered": remembered,
            "claim": Uuid::now_v7().to_string(),
            "takes": each.collect::<Vec<_>>(),
        });
        let rows = self.call("quota_reserve", &said).await?;
        let mut reserved = Reserved {
            each: vec![ReservedOne::default(); takes.len()],
            ..Reserved::default()
        };
        for row in &rows {
            let place: i32 = column(row, "place")?;
            let is_denied = column(row, "is_denied")?;
            let Some(one) = usize::try_from(place)
                .ok()
                .and_then(|place| reserved.each.get_mut(place))
            else {
                reserved.is_repeated = column(row, "is_repeated")?;
                reserved.is_denied = is_denied;
                continue;
            };
            *one = ReservedOne {
                used: amount(row, "used")?,
                is_denied,
                crossed: percent(row, "crossed")?,
            };
        }
        Ok(reserved)
    }

    /// Settles an operation once: what was reserved is kept in this amount, or released.
    pub(super) async fn settle(
        &self,
        operation: Operation,
        settles: &[(OwnedTake, u64)],
        gives_back: GivesBack,
        now: Timestamp,
    ) -> Result<Settled, CountersError> {
        let each = settles
            .iter()
            .map(|(take, actual)| about(take, json!({ "actual": stored(*actual) })));
        let remembered = match operation.is_repeatable() {
            true => self.remembered,
            false => self.remembered.min(SENT_AGAIN),
        };
        let settles = each.collect();
        self.once(operation.id(), settles, gives_back, remembered, now)
            .await
    }

    /// Gives back what is kept, once.
    pub(super) async fn give_back(
        &self,
        operation: OperationId,
        takes: &[OwnedTake],
        now: Timestamp,
    ) -> Result<Settled, CountersError> {
        let each = takes
            .iter()
            .map(|take| about(take, json!({ "frees": stored(take.amount) })));
        let of_all = GivesBack::NotAll;
        self.once(operation, each.collect(), of_all, self.remembered, now)
            .await
    }

    async fn once(
        &self,
        operation: OperationId,
        settles: Vec<Value>,
        gives_back: GivesBack,
        remembered: Duration,
        now: Timestamp,
    ) -> Result<Settled, CountersError> {
        let said = json!({
            "operation": id(operation),
            "now": now.as_unix_micros(),
            "remembered": micros(remembered),
            "claim": Uuid::now_v7().to_string(),
            "gives_all_back": gives_back != GivesBack::NotAll,
            "keeps_shared": gives_back == GivesBack::AllUnlessShared,
            "settles": settles,
        });
        let rows = self.call("quota_settle", &said).await?;
        let row = rows.first().ok_or_else(silent)?;
        let outcome: String = column(row, "c")?;
        Ok(match outcome.as_str() {
            "repeated" => Settled::Repeated,
            "late" => Settled::Late,
            _ => Settled::Done,
        })
    }

    /// Gives reservations their full time again.
    pub(super) async fn renew(
        &self,
        operation: OperationId,
        takes: &[OwnedTake],
        now: Timestamp,
    ) -> Result<Settled, CountersError> {
        let each = takes.iter().map(|take| about(take, json!({})));
        let said = json!({
            "operation": id(operation),
            "now": now.as_unix_micros(),
            "takes": each.collect::<Vec<_>>(),
        });
        let rows = self.call("quota_renew", &said).await?;
        let row = rows.first().ok_or_else(silent)?;
        Ok(match column(row, "c")? {
            true => Settled::Done,
            false => Settled::Late,
        })
    }

    /// Prepares to give something back, which a transaction of the application confirms.
    pub(super) async fn offer(
        &self,
        operation: OperationId,
        takes: &[OwnedTake],
        now: Timestamp,
    ) -> Result<(), CountersError> {
        let each = takes.iter().map(|take| {
            about(
                take,
                json!({
                    "amount": stored(take.amount),
                    "lasts": micros(OFFER),
                }),
            )
        });
        let said = json!({
            "operation": id(operation),
            "now": now.as_unix_micros(),
            "takes": each.collect::<Vec<_>>(),
        });
        self.call("quota_offer", &said).await.map(drop)
    }

    /// What is used of some limits; of a period, with what processes have in hand.
    pub(super) async fn used(
        &self,
        takes: &[&OwnedTake],
        now: Timestamp,
    ) -> Result<Vec<u64>, CountersError> {
        let each = takes.iter().enumerate().map(|(place, take)| {
            let starts = match take.algorithm {
                Algorithm::Period(_, window) => Some(window.start.as_unix_micros()),
                _ => None,
            };
            json!({
                "place": place,
                "holder": take.holder.to_string(),
                "limit_name": take.limit,
                "starts": starts,
            })
        });
        let said = json!({
            "now": now.as_unix_micros(),
            "takes": each.collect::<Vec<_>>(),
        });
        let rows = self.call("quota_standings", &said).await?;
        let mut used = vec![0; takes.len()];
        for row in &rows {
            let place: i32 = column(row, "place")?;
            if let Some(one) = usize::try_from(place)
                .ok()
                .and_then(|place| used.get_mut(place))
            {
                *one = amount(row, "used")?;
            }
        }
        Ok(used)
    }

    /// Whether it is time to remove rows. Says so once.
    pub(super) fn is_to_be_cleaned(&self) -> bool {
        let mut cleaned = self.cleaned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = cleaned.is_none_or(|at| at.elapsed() >= CLEANS_EACH);
        if is_due {
            *cleaned = Some(Instant::now());
        }
        is_due
    }

    /// Removes rows that change no answer.
    pub(super) async fn clean(&self) -> Result<u64, CountersError> {
        let sql = format!("SELECT 'counters' AS part, tenancy.quota_clean({CLEANS}) AS c");
        let rows = self.run(&sql).await?;
        amount(rows.first().ok_or_else(silent)?, "c")
    }
}

/// Whose use of which limit, and what else is said of it.
fn about(take: &OwnedTake, more: Value) -> Value {
    let mut said = json!({
        "tenant": take.holder.home().map(|tenant| tenant.to_string()),
        "holder": take.holder.to_string(),
        "limit_name": take.limit,
    });
    if let (Value::Object(said), Value::Object(more)) = (&mut said, more) {
        said.extend(more);
    }
    said
}

fn silent() -> CountersError {
    CountersError::unavailable("the database has answered with no row")
}

fn column<'r, T>(row: &'r PgRow, name: &str) -> Result<T, CountersError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(name).map_err(CountersError::unavailable)
}

fn amount(row: &PgRow, name: &str) -> Result<u64, CountersError> {
    let amount: i64 = column(row, name)?;
    Ok(u64::try_from(amount).unwrap_or_default())
}

fn percent(row: &PgRow, name: &str) -> Result<u8, CountersError> {
    let percent: Option<i32> = column(row, name)?;
    Ok(u8::try_from(percent.unwrap_or_default()).unwrap_or(u8::MAX))
}

fn id(operation: OperationId) -> String {
    Uuid::from_u128(operation.as_u128()).to_string()
}

fn micros(span: Duration) -> i64 {
    // A hundred years: what PostgreSQL can add to a moment.
    let most = 100 * 366 * 24 * 3_600 * 1_000_000_i64;
    i64::try_from(span.as_micros()).unwrap_or(most).min(most)
}

/// An amount as it is stored. One more than there can be is more than any limit.
fn stored(amount: u64) -> u64 {
    amount.min(MAX_AMOUNT + 1)
}

const fn included(take: &OwnedTake) -> u64 {
    match take.algorithm {
        Algorithm::Held(ceiling, _) | Algorithm::Period(ceiling, _) => ceiling.amount(),
        _ => 0,
    }
}

const fn held(take: &OwnedTake) -> (Option<u64>, Duration) {
    match take.algorithm {
        Algorithm::Held(ceiling, lasts) => (ceiling.most(), lasts),
        _ => (None, Duration::ZERO),
    }
}

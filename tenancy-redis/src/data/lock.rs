//! `TenantLock`: something that one holder does at a time, for as long as it says so.

use std::{fmt, sync::LazyLock, time::Duration};

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{LONGEST_NAME, TenantData, int, millis, parts};
use crate::{RedisError, layout, script::Script};

/// For how long a lock's last number is remembered after its end, in milliseconds: a day.
const REMEMBERED: u128 = 24 * 3600 * 1000;

/// The longest pause between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// Takes it for `ARGV[1]`, for `ARGV[2]` milliseconds. A repetition has the same number. Else how long others hold it.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lock = redis.call('HMGET', KEYS[1], 'holder', 'until', 'number')
local ends = tonumber(lock[2] or '0')
if ends > now then
  if lock[1] == ARGV[1] then return {1, tonumber(lock[3])} end
  return {0, math.ceil((ends - now) / 1000)}
end
local number = math.max(now, tonumber(lock[3] or '0') + 1)
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', string.format('%.0f', now + ARGV[2] * 1000),
  'number', string.format('%.0f', number))
redis.call('PEXPIRE', KEYS[1], ARGV[2] + ARGV[3])
return {1, number}",
    )
});

/// Gives its holder `ARGV[1]` other `ARGV[2]` milliseconds from now, or ends it with 0 of them.
static CHANGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lock = redis.call('HMGET', KEYS[1], 'holder', 'until')
if lock[1] ~= ARGV[1] then return 0 end
local held = tonumber(lock[2] or '0') > now
if tonumber(ARGV[2]) == 0 then
  redis.call('HSET', KEYS[1], 'until', '0')
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
elseif held then
  redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[2] * 1000))
  redis.call('PEXPIRE', KEYS[1], ARGV[2] + ARGV[3])
end
return held and 1 or 0",
    )
});

/// A lock that is held until it is released, or its time is over.
///
/// ```no_run
/// # async fn example(data: &tenancy_redis::TenantData) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// if let Some(lock) = data.try_lock("invoices", Duration::from_secs(30)).await? {
///     // … write them, with `lock.number()` where the writing is …
///     if !lock.extend(Duration::from_secs(30)).await? {
///         return Err("somebody else is at it".into());
///     }
///     lock.release().await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// A lock saves work that is done twice. It is no proof that nobody else is at it: a holder that is delayed does not
/// notice that its time is over, and a Redis that fails over may forget the lock. What must not happen twice is made
/// sure of where it happens: have the store refuse a [number](Self::number) that is lower than one that it has seen.
///
/// One that is dropped is held until its time is over.
#[must_use = "a lock is held until it is released, or its time is over"]
pub struct TenantLock {
    data: TenantData,
    key: Vec<u8>,
    holder: String,
    number: u64,
}

impl TenantData {
    /// Takes a lock for a time, if nobody has it. `HMGET`, `HSET` and `PEXPIRE` in one script.
    ///
    /// # Errors
    /// As [`set_for`](Self::set_for).
    pub async fn try_lock(
        &self,
        name: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<Option<TenantLock>, RedisError> {
        self.take(name.as_ref(), time).await.map(Result::ok)
    }

    /// Takes a lock for a time, and waits until others have released it, but no longer than `patience`; `None` after
    /// that. Those who wait have no order.
    ///
    /// # Errors
    /// As [`set_for`](Self::set_for).
    pub async fn lock(
        &self,
        name: impl AsRef<[u8]>,
        time: Duration,
        patience: Duration,
    ) -> Result<Option<TenantLock>, RedisError> {
        let start = Instant::now();
        loop {
            let left = match self.take(name.as_ref(), time).await? {
                Ok(lock) => return Ok(Some(lock)),
                Err(left) => left,
            };
            let rest = patience.saturating_sub(start.elapsed());
            if rest.is_zero() {
                return Ok(None);
            }
            // Not all who wait come back at once.
            let share = 50 + (Uuid::now_v7().as_u128() % 50) as u32;
            let pause = left.min(PAUSE).max(Duration::from_millis(1)) * share / 100;
            sleep(pause.min(rest)).await;
        }
    }

    async fn take(
        &self,
        name: &[u8],
        time: Duration,
    ) -> Result<Result<TenantLock, Duration>, RedisError> {
        let time = millis(time).map_err(RedisError::invalid)?;
        if name.len() > LONGEST_NAME {
            return Err(RedisError::invalid("a name is longer than 4,096 bytes"));
        }
        let mut key = layout::of_tenant(self.context().tenant_id(), 'l').into_bytes();
        key.extend_from_slice(name);
        let holder = Uuid::now_v7().to_string();
        let arguments = [holder.clone(), time.to_string(), REMEMBERED.to_string()];
        let answer = self.redis().link().eval(&TAKE, &[&key], &arguments).await?;
        let [taken, number] = parts(answer)?;
        let number = u64::try_from(int(number)?).unwrap_or(0);
        if int(taken)? == 0 {
            return Ok(Err(Duration::from_millis(number)));
        }
        Ok(Ok(TenantLock {
            data: self.clone(),
            key,
            holder,
            number,
        }))
    }
}

impl TenantLock {
    /// The number of this holding: greater than that of each earlier one of the same lock. It is the time of the
    /// server in microseconds, or the last number and one.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Holds it for another time from now on; `false` if it is held no more.
    ///
    /// # Errors
    /// As [`TenantData::set_for`].
    pub async fn extend(&self, time: Duration) -> Result<bool, RedisError> {
        let time = millis(time).map_err(RedisError::invalid)?;
        self.change(time).await
    }

    /// Gives it back; `false` if it was held no more.
    ///
    /// # Errors
    /// As [`TenantData::get`]; it then ends with its time.
    pub async fn release(self) -> Result<bool, RedisError> {
        self.change(0).await
    }

    async fn change(&self, time: u128) -> Result<bool, RedisError> {
        let arguments = [
            self.holder.clone(),
            time.to_string(),
            REMEMBERED.to_string(),
        ];
        let link = self.data.redis().link();
        let answer = if time == 0 {
            link.eval_once(&CHANGE, &[&self.key], &arguments).await?
        } else {
            link.eval(&CHANGE, &[&self.key], &arguments).await?
        };
        Ok(int(answer)? == 1)
    }
}

impl fmt::Debug for TenantLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantLock")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

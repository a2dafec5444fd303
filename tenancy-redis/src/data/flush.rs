//! Forgetting all that a tenant keeps, at once.

use std::sync::LazyLock;

use super::{TenantData, int};
use crate::{RedisError, script::Script};

/// The next epoch is now, or just after the last where the clock was set back.
static FLUSH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
local now = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local epoch = math.max(now[1] * 1000000 + now[2], last + 1)
redis.call('SET', KEYS[1], string.format('%.0f', epoch))
return 1",
    )
});

impl TenantData {
    /// Forgets all that the tenant keeps under names, whatever it is and however much: no process reads it any more once
    /// this returns. Locks and channels stay. One round trip, of the same length for any amount. `SET` of the epoch.
    ///
    /// What has an expiry leaves the memory by it; everything else when an operator
    /// [sweeps](crate::OperatorRedis::sweep).
    ///
    /// # Errors
    /// As [`get`](Self::get); without an answer it may have been done.
    pub async fn flush(&self) -> Result<(), RedisError> {
        let none: [&str; 0] = [];
        let link = self.redis().link();
        int(link.eval_once(&FLUSH, &[self.epoch_name()], &none).await?).map(drop)
    }
}

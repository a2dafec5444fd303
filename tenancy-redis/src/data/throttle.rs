//! Work that a tenant may do so often.

use std::time::Duration;

use tenancy_core::{
    Clock as _, SystemClock,
    quota::{Algorithm, Counters as _, CountersError, Holder, Operation, Rate, Take, Taken, Wait},
};

use super::{LONGEST_NAME, TenantData};
use crate::RedisError;

impl TenantData {
    /// Takes one of a rate that all processes share, such as mails that a tenant sends. `None` if there was one; else how
    /// long to wait until there is one, if nobody else takes it. Nothing is taken then. Each name is counted by itself.
    ///
    /// It counts as [`RedisCounters`](crate::RedisCounters) do, by the clock of Redis; a lost answer is asked for again and
    /// takes nothing twice. What a plan limits, or a request is told of, belongs to
    /// [`Quotas`](tenancy_core::quota::Quotas) instead. `flush` gives nothing back.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use tenancy_core::quota::Rate;
    /// # use tenancy_redis::TenantData;
    ///
    /// # async fn example(data: &TenantData) -> Result<(), Box<dyn std::error::Error>> {
    /// // 100 an hour, of which at most 10 come at once.
    /// let mails = Rate::new(100, Duration::from_secs(3_600), 10)?;
    /// while let Some(wait) = data.throttle("mails", mails).await? {
    ///     tokio::time::sleep(wait).await;
    /// }
    /// // … send the mail …
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RedisErrorKind::Invalid`](crate::RedisErrorKind::Invalid) if the name has more than 4,096 bytes;
    /// [`RedisErrorKind::Unavailable`](crate::RedisErrorKind::Unavailable) if nobody answers: decide whether the work
    /// waits or goes on.
    pub async fn throttle(
        &self,
        name: impl AsRef<str>,
        rate: Rate,
    ) -> Result<Option<Duration>, RedisError> {
        let name = name.as_ref();
        if name.len() > LONGEST_NAME {
            return Err(RedisError::invalid("a name has 4,096 bytes at most"));
        }
        // No limit of a plan has a space in its name.
        let limit = format!("throttle {name}");
        let holder = Holder::tenant(self.context().tenant_id());
        let take = Take::new(holder, &limit, Algorithm::Rate(rate), 1);
        let counters = self.redis().counters();
        let taken = counters.take(Operation::once(), &[take], SystemClock.now());
        match taken.answer().await.map_err(unanswered)? {
            Taken::Granted(_) => Ok(None),
            Taken::Denied(denied) => {
                let waits = denied.iter().map(|one| match one.denial.wait {
                    Wait::For(time) => time,
                    _ => rate.refill(),
                });
                Ok(Some(waits.max().unwrap_or_default()))
            }
        }
    }
}

fn unanswered(error: CountersError) -> RedisError {
    match error {
        CountersError::Unavailable(why) => match why.downcast::<RedisError>() {
            Ok(error) => *error,
            Err(why) => RedisError::unavailable(why.to_string()),
        },
        error => RedisError::unexpected(error.to_string()),
    }
}

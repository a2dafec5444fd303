//! A session that was opened: what the server has drawn for it, and how often it has named somebody.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _, postgres::PgRow};

use super::{Keeping, Seal};
use crate::{
    connections::{Wear, begin_sealed},
    session::Scope,
};

/// How long a seal is good for, by the server's clock.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// The same where a standby can't remember which seals were used. It is presented at once.
const GOOD_FOR_ON_STANDBY: Duration = Duration::from_secs(10);

/// After how long a name that [ends](Keeping::Setting) is renewed: half of the minute that the server gives it.
const RENEWED_AFTER: Duration = Duration::from_secs(30);

/// A session that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    challenge: String,
    /// Of the last seal that was made, sent or not: none is made twice.
    counter: i64,
    /// The server's time when it was opened, in microseconds since 1970, and ours.
    at: i64,
    since: Instant,
    /// Whether it may name somebody.
    is_named: bool,
    /// When the name that it has is to be renewed, where names end.
    stale_at: Option<Instant>,
}

impl Opened {
    /// Opens the session of a connection.
    pub(crate) async fn open(
        connection: &mut PgConnection,
        seal: &Seal,
    ) -> Result<Self, sqlx::Error> {
        let begin = begin_sealed(seal.keeping());
        let open = format!("{begin}; SELECT challenge, at FROM tenancy_seal.open(); COMMIT");
        let since = Instant::now();
        let mut rows = connection.fetch_all(AssertSqlSafe(open)).await?;
        let row = rows
            .pop()
            .ok_or_else(|| sqlx::Error::Protocol("no answer to `open`".into()))?;
        Self::read(&row, since)
    }

    fn read(row: &PgRow, since: Instant) -> Result<Self, sqlx::Error> {
        let challenge: String = row.try_get("challenge")?;
        if challenge.len() != 32 || !challenge.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(sqlx::Error::Protocol("a challenge has 32 digits".into()));
        }
        Ok(Self {
            challenge,
            counter: 0,
            at: row.try_get("at")?,
            since,
            is_named: false,
            stale_at: None,
        })
    }

    /// What goes ahead of a use of the session, in the same message: frees it, if that is wanted, and
    /// names somebody or nobody.
    ///
    /// # Security
    /// A transaction of its own, which commits: what is set in the user's transaction would be undone
    /// with it, the counter too, and a seal that was seen could be used again.
    pub(crate) fn ahead(&mut self, seal: &Seal, names: Option<Scope>, wear: Wear) -> String {
        let mut sql = String::with_capacity(768);
        let reset = wear.reset_sealed();
        if reset.is_none() && names.is_none() && !self.is_named {
            return sql;
        }
        sql.push_str(begin_sealed(seal.keeping()));
        if let Some(reset) = reset {
            sql.push_str("; ");
            sql.push_str(reset);
        } else if names.is_none() {
            sql.push_str("; SELECT tenancy_seal.leave()");
        }
        self.is_named = names.is_some();
        if let Some(scope) = names {
            self.counter += 1;
            let (good_for, stale_at) = match seal.keeping() {
                Keeping::Parameter | Keeping::Row => (GOOD_FOR, None),
                Keeping::Setting => (GOOD_FOR_ON_STANDBY, Some(Instant::now() + RENEWED_AFTER)),
            };
            self.stale_at = stale_at;
            let expires = self.now().saturating_add(micros(good_for));
            sql.push_str("; ");
            sql.push_str(&seal.enter_sql(&self.challenge, self.counter, scope, expires));
        }
        sql.push_str("; COMMIT; ");
        sql
    }

    /// Notes that the session was freed and names nobody.
    pub(crate) fn freed(&mut self) {
        self.is_named = false;
    }

    /// Whether a name that was given to it is to be given again before the next transaction.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale_at.is_some_and(|at| Instant::now() >= at)
    }

    /// The server's time, by our clock.
    fn now(&self) -> i64 {
        self.at.saturating_add(micros(self.since.elapsed()))
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tenancy_core::TenantId;

    use super::*;
    use crate::{SealKey, seal::Keeping};

    #[test]
    fn names_are_renewed_where_they_end_and_seals_are_short_there() {
        for (keeping, ends, seconds) in [
            (Keeping::Parameter, false, 60),
            (Keeping::Row, false, 60),
            (Keeping::Setting, true, 10),
        ] {
            let key = SealKey::new(1, &[7; 32]).unwrap();
            let seal = Seal { key, keeping };
            let mut opened = Opened {
                challenge: "0".repeat(32),
                counter: 0,
                at: 1_000_000_000_000_000,
                since: Instant::now(),
                is_named: false,
                stale_at: None,
            };
            let scope = Scope {
                tenant: TenantId::new(),
                project: None,
            };
            let sql = opened.ahead(&seal, Some(scope), Wear::None);
            // But for the time that this test has taken, which is less than ten seconds.
            let expires = format!(", {}", 100_000_000 + seconds / 10);
            assert!(sql.contains(&expires), "{sql}");
            assert!(!opened.is_stale());
            assert_eq!(opened.stale_at.is_some(), ends);
            opened.stale_at = opened.stale_at.map(|_| Instant::now());
            assert_eq!(opened.is_stale(), ends);
        }
    }
}

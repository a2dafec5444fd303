//! Positions in the write-ahead log, and how a server is asked for its own.

use std::{fmt, str::FromStr};

use sqlx::{Row as _, postgres::PgRow};

/// Asks where a log ends, with further columns. A standby answers with NULL, and not with an error.
macro_rules! written {
    ($more:literal) => {
        concat!(
            "SELECT w.lsn::text AS lsn, pg_catalog.pg_walfile_name(w.lsn) AS file, \
             s.system_identifier AS system",
            $more,
            " FROM (SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() \
             THEN pg_catalog.pg_current_wal_insert_lsn() END AS lsn) AS w, \
             pg_catalog.pg_control_system() AS s"
        )
    };
}

/// What a primary is asked right after a commit: where its log ends now, which is at or behind the
/// commit. Not where the log is flushed to: with `synchronous_commit = off` that lags.
pub(super) const WRITTEN: &str = written!("");

/// The same, and which transactions are under way. The snapshot is older than the position.
pub(super) const WRITTEN_AND_RUNNING: &str = written!(
    ", pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text AS xmin, \
     pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text AS xmax"
);

/// What a standby is asked ahead of each transaction.
pub(super) const REPLAYED: &str = "SELECT pg_catalog.pg_is_in_recovery() AS standby, \
     pg_catalog.pg_last_wal_replay_lsn()::text AS lsn, c.timeline_id AS timeline, \
     s.system_identifier AS system \
     FROM pg_catalog.pg_control_checkpoint() AS c, pg_catalog.pg_control_system() AS s";

/// A byte of the log, counted from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Lsn(pub(super) u64);

impl FromStr for Lsn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (high, low) = text.split_once('/').ok_or(())?;
        let half = |digits: &str| u32::from_str_radix(digits, 16).map_err(drop);
        Ok(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// Whose log it is: positions of two histories mean nothing to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct History {
    /// The cluster. Its standbys have the same.
    pub(super) system: i64,
    /// Another one begins where a standby takes over.
    pub(super) timeline: u32,
}

impl History {
    /// Whether this one ended when the other began, in the same cluster.
    pub(super) fn is_before(self, other: Self) -> bool {
        self.system == other.system && self.timeline < other.timeline
    }
}

/// A position in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) history: History,
    pub(super) lsn: Lsn,
}

impl Position {
    /// What a primary has answered; `None` from a standby.
    pub(super) fn written(row: &PgRow) -> Result<Option<Self>, sqlx::Error> {
        let lsn: Option<&str> = row.try_get("lsn")?;
        let file: Option<&str> = row.try_get("file")?;
        let (Some(lsn), Some(file)) = (lsn, file) else {
            return Ok(None);
        };
        let timeline = file.get(..8).and_then(|digits| {
            // A file's name begins with its timeline.
            u32::from_str_radix(digits, 16).ok()
        });
        Ok(Some(Self {
            history: History {
                system: row.try_get("system")?,
                timeline: timeline.ok_or_else(|| unreadable("file"))?,
            },
            lsn: lsn.parse().map_err(|()| unreadable("lsn"))?,
        }))
    }
}

/// A primary's position, and the transactions that were under way before it.
pub(super) struct Running {
    pub(super) position: Position,
    /// Every transaction with a lower number has ended.
    pub(super) xmin: u64,
    /// No transaction has this number or a higher one yet.
    pub(super) xmax: u64,
}

impl Running {
    pub(super) fn of(row: &PgRow) -> Result<Option<Self>, sqlx::Error> {
        let Some(position) = Position::written(row)? else {
            return Ok(None);
        };
        let number = |name| -> Result<u64, sqlx::Error> {
            let text: &str = row.try_get(name)?;
            text.parse().map_err(|_| unreadable(name))
        };
        Ok(Some(Self {
            position,
            xmin: number("xmin")?,
            xmax: number("xmax")?,
        }))
    }
}

/// What a replica has answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) is_standby: bool,
    /// That of its last restart point: the timeline of a new primary is seen here late, and never
    /// early.
    pub(super) history: History,
    pub(super) replayed: Lsn,
}

impl Standing {
    pub(super) fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let lsn: Option<&str> = row.try_get("lsn")?;
        let timeline: i32 = row.try_get("timeline")?;
        Ok(Self {
            is_standby: row.try_get("standby")?,
            history: History {
                system: row.try_get("system")?,
                timeline: u32::try_from(timeline).map_err(|_| unreadable("timeline"))?,
            },
            replayed: match lsn {
                Some(lsn) => lsn.parse().map_err(|()| unreadable("lsn"))?,
                None => Lsn::default(),
            },
        })
    }
}

fn unreadable(what: &str) -> sqlx::Error {
    sqlx::Error::Protocol(format!("`{what}` can't be read"))
}

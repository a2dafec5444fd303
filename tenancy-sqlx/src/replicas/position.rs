//! Positions in the write-ahead log, and how a server is asked for its own.

use std::{fmt, str::FromStr};

use sqlx::{Row as _, postgres::PgRow};

/// Asks where a log ends, with further columns. A standby answers with NULL, and not with an error.
macro_rules! written {
    ($more:literal) => {
        concat!(
            "SELECT w.lsn::text AS lsn, pg_catalog.pg_walfile_name(w.lsn) AS file, \
             s.system_identifier AS system, \
             pg_catalog.current_setting('wal_block_size')::bigint AS page, \
             pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) AS segment",
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

/// What a page of the log begins with, in bytes; and the first page of a file.
const HEADERS: (u64, u64) = (24, 40);

impl Lsn {
    /// Where what is in front of a position ends. Where nothing follows yet, the primary counts the header
    /// of the page that is to come, and a standby does not.
    fn end_before(self, page: u64, segment: u64) -> Self {
        let (header, header_of_file) = HEADERS;
        let begins = |unit, header| self.0.checked_rem(unit) == Some(header);
        if begins(segment, header_of_file) {
            Self(self.0 - header_of_file)
        } else if begins(page, header) {
            Self(self.0 - header)
        } else {
            self
        }
    }
}

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
        let lsn: Lsn = lsn.parse().map_err(|()| unreadable("lsn"))?;
        let size = |name| -> Result<u64, sqlx::Error> {
            u64::try_from(row.try_get::<i64, _>(name)?).map_err(|_| unreadable(name))
        };
        Ok(Some(Self {
            history: History {
                system: row.try_get("system")?,
                timeline: timeline.ok_or_else(|| unreadable("file"))?,
            },
            lsn: lsn.end_before(size("page")?, size("segment")?),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(
                text.parse::<Lsn>().map(|lsn| lsn.to_string()),
                Ok(text.into())
            );
        }
        for text in ["", "0", "/", "0/", "0/G", "100000000/0", "0/0/0"] {
            assert_eq!(text.parse::<Lsn>(), Err(()), "{text}");
        }
    }

    #[test]
    fn the_header_of_a_page_that_is_to_come_does_not_count() {
        let end = |text: &str| {
            let lsn: Lsn = text.parse().unwrap_or_default();
            lsn.end_before(8192, 16 << 20).to_string()
        };
        assert_eq!(end("0/3000028"), "0/3000000");
        assert_eq!(end("0/3002018"), "0/3002000");
        // Something is on these pages.
        for text in ["0/3000030", "0/3002020", "0/3002028", "0/3002038"] {
            assert_eq!(end(text), text);
        }
    }
}

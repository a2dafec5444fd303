//! A mark that travels between processes.

use std::{fmt, str::FromStr};

use super::position::{History, Lsn, Position};

/// Up to where a tenant has written, to be carried from one process to another: see
/// [`TenantPool::last_write`](crate::TenantPool::last_write).
///
/// As text (`Display`, `FromStr`) it is three hexadecimal numbers with hyphens between: the cluster's
/// identifier, its timeline, the byte of its log.
///
/// One process writes and sends the mark along with a job; another reads no older state:
///
/// ```
///
/// use tenancy_core::TenantContext;
/// use tenancy_sqlx::{Error, TenantPool, WriteMark};
///
/// fn send(pool: &TenantPool, context: &TenantContext) -> Result<Option<String>, Error> {
///     Ok(pool.last_write(context)?.map(|mark| mark.to_string()))
/// }
///
/// fn receive(pool: &TenantPool, context: &TenantContext, text: &str) -> Result<(), Box<dyn std::error::Error>> {
///     let mark: WriteMark = text.parse()?;
///     pool.note_write(context, mark)?;
///     Ok(())
/// }
/// # let _ = (send, receive);
/// ```
///
/// # Security
/// It tells how much the whole database writes. Keep it from users who should not know that: seal it,
/// or keep it in a session on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteMark(pub(super) Position);

/// A text that is no [`WriteMark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a write mark is three hexadecimal numbers with hyphens between")]
#[non_exhaustive]
pub struct BadWriteMark;

impl fmt::Display for WriteMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { history, lsn } = self.0;
        write!(f, "{:x}-{:x}-{:x}", history.system, history.timeline, lsn.0)
    }
}

impl FromStr for WriteMark {
    type Err = BadWriteMark;

    fn from_str(text: &str) -> Result<Self, BadWriteMark> {
        let mut parts = text.splitn(3, '-');
        let mut part = || {
            let digits = parts.next().filter(|part| !part.starts_with('+'));
            digits
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .ok_or(BadWriteMark)
        };
        Ok(Self(Position {
            history: History {
                system: part()?.cast_signed(),
                timeline: u32::try_from(part()?).map_err(|_| BadWriteMark)?,
            },
            lsn: Lsn(part()?),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives_as_text() {
        let mark = WriteMark(Position {
            history: History {
                system: -7_514_211_333_909_171_411,
                timeline: 2,
            },
            lsn: Lsn(0x16_b374_d848),
        });
        assert_eq!(mark.to_string().parse(), Ok(mark));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "1",
            "1-2",
            "1-2-",
            "1-2-3-4",
            "+1-2-3",
            "g-1-1",
            "1-100000000-1",
        ] {
            assert_eq!(text.parse::<WriteMark>(), Err(BadWriteMark), "{text}");
        }
    }
}

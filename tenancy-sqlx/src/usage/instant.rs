//! Moments as PostgreSQL has them.

use sqlx::{
    Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo},
};
use tenancy_core::Timestamp;

/// Microseconds from 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
const SINCE_2000: i64 = 946_684_800_000_000;

/// The first and the last moment that PostgreSQL has: 4714 BC, and the year 294276.
const RANGE: (i64, i64) = (-211_813_488_000_000_000, 9_223_371_331_199_999_999);

/// A `timestamptz`, for arrays. What PostgreSQL has no place for is its nearest moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant(pub(crate) Timestamp);

impl Type<Postgres> for Instant {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl PgHasArrayType for Instant {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_timestamptz")
    }
}

impl Encode<'_, Postgres> for Instant {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = self.0.as_unix_micros().saturating_sub(SINCE_2000);
        let micros = micros.clamp(RANGE.0, RANGE.1);
        buffer.extend_from_slice(&micros.to_be_bytes());
        Ok(IsNull::No)
    }
}

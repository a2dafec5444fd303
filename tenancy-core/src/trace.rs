//! The id of a trace, by which what many services did for one request is found together.

use std::fmt;

use serde::{Serialize, Serializer};

/// The id of a trace: 16 bytes, not all of them zero.
///
/// It is read from the header field `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context/), and
/// written as 32 hexadecimal digits.
///
/// ```
/// use tenancy_core::TraceId;
///
/// let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let trace = TraceId::of_traceparent(parent).ok_or("no trace")?;
/// assert_eq!(trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
/// assert_eq!(TraceId::from_stored(&trace.to_string()), Some(trace));
/// # Ok::<(), &str>(())
/// ```
///
/// # Security
/// A caller chooses it. It finds entries, and proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The trace of a header field `traceparent`; `None` if the field is not as the standard has it.
    ///
    /// Of versions later than `00` the part that the standard promises to keep is read.
    #[must_use]
    pub fn of_traceparent(field: &str) -> Option<Self> {
        let mut parts = field.split('-');
        let (version, trace, parent, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |part: &str, len| {
            part.len() == len
                && part
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_whole = version != "00" || parts.next().is_none();
        let is_valid = is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && is_hex(parent, 16)
            && parent.bytes().any(|byte| byte != b'0')
            && is_hex(flags, 2)
            && is_whole;
        if is_valid {
            Self::from_stored(trace)
        } else {
            None
        }
    }

    /// The trace of 32 lower-case hexadecimal digits, as [`Display`](fmt::Display) writes it; `None` for anything else.
    #[must_use]
    pub fn from_stored(digits: &str) -> Option<Self> {
        let is_lower = digits.len() == 32 && !digits.bytes().any(|byte| byte.is_ascii_uppercase());
        let bytes = u128::from_str_radix(digits, 16).ok()?.to_be_bytes();
        (is_lower && !digits.starts_with('+') && bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_not_as_the_standard_has_it_names_no_trace() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for (field, is_read) in [
            (format!("00-{trace}-b7ad6b7169203331-01"), true),
            (format!("cc-{trace}-b7ad6b7169203331-01-what-comes"), true),
            (format!("00-{trace}-b7ad6b7169203331-01-more"), false),
            (format!("ff-{trace}-b7ad6b7169203331-01"), false),
            (
                format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
                false,
            ),
            (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), false),
            (format!("00-{trace}-{}-01", "0".repeat(16)), false),
            (format!("00-{trace}-b7ad6b7169203331"), false),
            (format!("00-+{}-b7ad6b7169203331-01", &trace[1..]), false),
            (format!("00-{trace}é-b7ad6b7169203331-01"), false),
            (String::new(), false),
        ] {
            assert_eq!(
                TraceId::of_traceparent(&field).is_some(),
                is_read,
                "{field}"
            );
        }
    }
}

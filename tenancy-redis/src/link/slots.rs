//! Slots of a cluster: which one a key is in, and which nodes hold them.

use std::{fmt, sync::Arc};

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

/// How many slots there are.
pub(super) const SLOTS: u16 = 16_384;

/// The slot of a key: of its hash tag, if it has one.
pub(super) fn of_key(key: &[u8]) -> u16 {
    static CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
    CRC.checksum(hash_tag(key)) % SLOTS
}

/// What stands in the first braces, if anything does; else the whole key.
fn hash_tag(key: &[u8]) -> &[u8] {
    let position = |bytes: &[u8], wanted| bytes.iter().position(|byte| *byte == wanted);
    let tag = position(key, b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        rest.get(..position(rest, b'}')?)
    });
    tag.filter(|tag| !tag.is_empty()).unwrap_or(key)
}

/// Where a node is, as the cluster announces it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
}

impl Place {
    /// What stands in a redirection, `host:port`. No host is that of the node that was asked.
    pub(super) fn parse(text: &str, asked: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.is_empty() { asked } else { host };
        Some(Self {
            host: host.into(),
            port: port.parse().ok()?,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Slots one after another, and the master that holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) master: Place,
}

/// Reads an answer to `CLUSTER SLOTS` of the node at `asked`. `None` if it is no such answer.
pub(super) fn parse(answer: &Value, asked: &str) -> Option<Vec<Range>> {
    let Value::Array(entries) = answer else {
        return None;
    };
    let mut ranges = Vec::with_capacity(entries.len());
    for entry in entries {
        let Value::Array(parts) = entry else {
            return None;
        };
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(master),
            ..,
        ] = parts.as_slice()
        else {
            return None;
        };
        let range = Range {
            first: slot(*first)?,
            last: slot(*last)?,
            master: place(master, asked)?,
        };
        if range.first > range.last {
            return None;
        }
        ranges.push(range);
    }
    ranges.sort_by_key(|range| range.first);
    Some(ranges)
}

fn slot(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|slot| *slot < SLOTS)
}

/// A node: the host that it prefers, its port, its id, and what else is known of it.
fn place(node: &[Value], asked: &str) -> Option<Place> {
    let (host, port, rest) = match node {
        [host, Value::Int(port), rest @ ..] => (host, port, rest),
        _ => return None,
    };
    let host = match text(host) {
        // It prefers a name and has none: its address stands further on.
        Some("?") => further(rest, "ip").unwrap_or(asked),
        Some("") | None => asked,
        Some(host) => host,
    };
    Some(Place {
        host: host.into(),
        port: u16::try_from(*port).ok()?,
    })
}

/// A value of the pairs that end a node's entry.
fn further<'a>(rest: &'a [Value], wanted: &str) -> Option<&'a str> {
    match rest.last()? {
        Value::Array(pairs) => pairs.chunks_exact(2).find_map(|pair| match pair {
            [name, value] if text(name) == Some(wanted) => text(value),
            _ => None,
        }),
        Value::Map(pairs) => pairs
            .iter()
            .find(|(name, _)| text(name) == Some(wanted))
            .and_then(|(_, value)| text(value)),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Range, Value, of_key, parse};

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(first: i64, last: i64, node: Vec<Value>) -> Value {
        let replica = Value::Array(vec![bulk("10.0.0.9"), Value::Int(1), bulk("other")]);
        let ends = [Value::Int(first), Value::Int(last)];
        Value::Array(
            ends.into_iter()
                .chain([Value::Array(node), replica])
                .collect(),
        )
    }

    #[test]
    fn a_slot_is_that_of_the_first_tag_that_is_not_empty() {
        // As `CLUSTER KEYSLOT` of Redis 7 says.
        assert_eq!(of_key(b"123456789"), 12_739);
        assert_eq!(of_key(b""), 0);
        assert_eq!(of_key(b"{user1000}.following"), of_key(b"user1000"));
        assert_eq!(of_key(b"foo{{bar}}zap"), of_key(b"{bar"));
        assert_eq!(of_key(b"foo{bar}{zap}"), of_key(b"bar"));
        assert_ne!(of_key(b"foo{}{bar}"), of_key(b"bar"));
        assert_ne!(of_key(b"foo{bar"), of_key(b"bar"));
    }

    #[test]
    fn a_node_is_where_the_cluster_says_or_where_it_was_asked() {
        let of = |host: &str, port| Place {
            host: host.into(),
            port,
        };
        assert_eq!(Place::parse("a.b:7", "c"), Some(of("a.b", 7)));
        assert_eq!(Place::parse(":7", "c"), Some(of("c", 7)));
        assert_eq!(Place::parse("::1:7", "c"), Some(of("::1", 7)));
        assert_eq!(Place::parse("[::1]:7", "c"), Some(of("::1", 7)));
        assert_eq!(Place::parse("a.b", "c"), None);
        assert_eq!(Place::parse("a.b:seven", "c"), None);

        let further = Value::Array(vec![bulk("ip"), bulk("10.0.0.2")]);
        let answer = Value::Array(vec![
            entry(11, 20, vec![Value::Nil, Value::Int(7), bulk("id")]),
            entry(0, 5, vec![bulk("node.a"), Value::Int(8), bulk("id")]),
            entry(6, 10, vec![bulk("?"), Value::Int(9), bulk("id"), further]),
        ]);
        let range = |first, last, host, port| Range {
            first,
            last,
            master: of(host, port),
        };
        let expected = vec![
            range(0, 5, "node.a", 8),
            range(6, 10, "10.0.0.2", 9),
            range(11, 20, "asked", 7),
        ];
        assert_eq!(parse(&answer, "asked"), Some(expected));
    }

    #[test]
    fn what_is_no_map_of_slots_is_none() {
        let node = || vec![bulk("a"), Value::Int(8), bulk("id")];
        for answer in [
            Value::Okay,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(1)])]),
            Value::Array(vec![entry(5, 4, node())]),
            Value::Array(vec![entry(-1, 4, node())]),
            Value::Array(vec![entry(0, 16_384, node())]),
            Value::Array(vec![entry(0, 1, vec![bulk("a"), Value::Int(80_000)])]),
            Value::Array(vec![entry(0, 1, vec![bulk("a"), bulk("8")])]),
        ] {
            assert_eq!(parse(&answer, "asked"), None, "{answer:?}");
        }
    }
}

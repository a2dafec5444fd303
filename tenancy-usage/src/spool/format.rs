//! The bytes of a file of the spool.
//!
//! It begins with [`HEADER`]. Each record is [`MARK`], the length of its content and a CRC-32 of the length and the content,
//! both as 4 bytes, little-endian, and then the content: an event as JSON. A file that is complete ends with [`FOOTER`], a
//! record without content. No text has the bytes of the mark, so what comes after a damaged record is found again.

use crate::{EventError, EventErrorKind, UsageEvent};

/// What a file begins with: the name and the number of the format.
pub(super) const HEADER: &[u8; 16] = b"tenancy-usage-1\n";

/// What the header has before the number of the format.
const NAME: &[u8] = b"tenancy-usage-";

/// What each record begins with. UTF-8 has no such byte as the first one.
const MARK: [u8; 4] = [0xf5, b'u', b's', b'e'];

/// The last record of a file that is complete.
pub(super) const FOOTER: [u8; 12] = {
    // The CRC-32 of four zeros.
    let [a, b, c, d] = 0x2144_df1c_u32.to_le_bytes();
    [MARK[0], MARK[1], MARK[2], MARK[3], 0, 0, 0, 0, a, b, c, d]
};

/// How many bytes are before the content of a record.
const HEAD: usize = 12;

/// How long the content of a record is at most. An event is far shorter.
const LONGEST: usize = 1 << 16;

/// The record of an event.
pub(super) fn record(event: &UsageEvent) -> Result<Vec<u8>, EventError> {
    let refused = |text: String| EventError::new(EventErrorKind::NotStored, text);
    let content = serde_json::to_vec(event)
        .map_err(|error| refused(format!("the event can't be written: {error}")))?;
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    if content.len() > LONGEST {
        return Err(refused(format!(
            "the event has {length} bytes; give fewer or shorter dimensions, of {LONGEST} bytes together"
        )));
    }
    let length = length.to_le_bytes();
    let mut record = Vec::with_capacity(HEAD + content.len());
    record.extend(MARK);
    record.extend(length);
    record.extend(checksum(length, &content).to_le_bytes());
    record.extend(content);
    Ok(record)
}

fn checksum(length: [u8; 4], content: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length);
    crc.update(content);
    crc.finalize()
}

/// Whether a file begins as one of another format, which another release of this crate reads.
pub(super) fn is_foreign(bytes: &[u8]) -> bool {
    bytes.starts_with(NAME) && bytes.len() >= HEADER.len() && !bytes.starts_with(HEADER)
}

/// The records of a stretch of a file, one after the other.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    at: usize,
    /// Whether a torn record at the end is one that nobody was promised.
    may_be_torn: bool,
}

/// What is at a place of a file.
enum Found {
    Event(Box<UsageEvent>),
    /// The end of a complete file.
    Footer,
    Damage,
}

/// What was read at once.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) events: Vec<UsageEvent>,
    /// How many stretches were damaged.
    pub(super) damaged: u64,
}

impl Records {
    /// The records of these bytes, which are a whole file of a process that has ended if `is_left`.
    pub(super) fn new(bytes: Vec<u8>, is_first: bool, is_left: bool) -> Self {
        // A header that is damaged is no record either, and is found to be damage.
        let has_header = is_first && bytes.starts_with(HEADER);
        Self {
            at: if has_header { HEADER.len() } else { 0 },
            may_be_torn: is_left && !bytes.ends_with(&FOOTER),
            bytes,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next events, and no more than so many.
    pub(super) fn read(&mut self, most: usize) -> Read {
        let mut read = Read::default();
        while read.events.len() < most && !self.is_empty() {
            match self.next() {
                Some(Found::Event(event)) => read.events.push(*event),
                Some(Found::Footer) | None => {}
                Some(Found::Damage) => read.damaged += 1,
            }
        }
        read
    }

    /// What is next; `None` for a torn end.
    fn next(&mut self) -> Option<Found> {
        let Some((content, end)) = self.content_at(self.at) else {
            let after = (self.at + 1..self.bytes.len()).find(|at| self.content_at(*at).is_some());
            let is_torn = after.is_none() && self.may_be_torn && self.ends_within(self.at);
            self.at = after.unwrap_or(self.bytes.len());
            return (!is_torn).then_some(Found::Damage);
        };
        let found = if content.is_empty() {
            Found::Footer
        } else {
            serde_json::from_slice(content).map_or(Found::Damage, Found::Event)
        };
        self.at = end;
        Some(found)
    }

    /// Whether the bytes end within the record that begins here, as they do where a write was cut off. A record that is there
    /// as a whole, and is none by its checksum, was damaged.
    fn ends_within(&self, at: usize) -> bool {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let Some(rest) = rest.strip_prefix(&MARK) else {
            return true;
        };
        let length = rest.split_first_chunk::<4>();
        length.is_none_or(|(length, rest)| {
            let count = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
            rest.len() < count.saturating_add(4)
        })
    }

    /// The content of a record that begins here, and where it ends.
    fn content_at(&self, at: usize) -> Option<(&[u8], usize)> {
        let rest = self.bytes.get(at..)?.strip_prefix(&MARK)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let count = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let content = rest.get(..count).filter(|_| count <= LONGEST)?;
        let is_whole = checksum(*length, content) == u32::from_le_bytes(*crc);
        is_whole.then_some((content, at + HEAD + count))
    }
}

#[cfg(test)]
mod tests {
    use tenancy_core::{TenantId, Timestamp};

    use super::*;

    fn events() -> Vec<UsageEvent> {
        let at = Timestamp::from_unix_micros(1_800_000_000_123_456);
        let event =
            |id: u32| UsageEvent::new(TenantId::new(), "tokens", "test", id.to_string(), at);
        (0..3)
            .map(|id| event(id).quantity(id).dimension("model", "größer"))
            .collect()
    }

    fn file(events: &[UsageEvent], is_complete: bool) -> Vec<u8> {
        let records = events.iter().flat_map(|event| record(event).unwrap());
        let footer = if is_complete { &FOOTER[..] } else { &[] };
        let header = HEADER.iter().copied();
        header
            .chain(records)
            .chain(footer.iter().copied())
            .collect()
    }

    fn read(bytes: Vec<u8>) -> (Vec<UsageEvent>, u64) {
        let read = Records::new(bytes, true, true).read(usize::MAX);
        (read.events, read.damaged)
    }

    #[test]
    fn the_footer_is_a_record_without_content() {
        assert_eq!(checksum([0; 4], &[]).to_le_bytes(), FOOTER[8..]);
    }

    #[test]
    fn what_was_written_is_read() {
        let events = events();
        assert_eq!(read(file(&events, true)), (events.clone(), 0));
        assert_eq!(read(file(&events, false)), (events, 0));
    }

    /// Wherever a crash has cut a file, all records before are read, and nothing is said to be damaged.
    #[test]
    fn a_torn_end_is_cut() {
        let events = events();
        let whole = file(&events, false);
        let starts: Vec<_> = (0..3)
            .map(|count| file(&events[..count], false).len())
            .collect();
        for end in 0..whole.len() {
            let there = starts.iter().skip(1).filter(|start| **start <= end).count();
            let torn = read(whole[..end].to_vec());
            assert_eq!(torn, (events[..there].to_vec(), 0), "{end}");
            // A disk may have made the file longer before it has written.
            let zeros = whole[..end].iter().copied().chain([0; 100]).collect();
            assert_eq!(read(zeros).0, events[..there], "{end}");
        }
    }

    /// The last record of a file that has no end is told too, if it is there as a whole.
    #[test]
    fn a_damaged_last_record_is_no_torn_end() {
        let events = events();
        let whole = file(&events, false);
        let last = file(&events[..2], false).len() + HEAD;
        for place in last..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            assert_eq!(read(damaged), (events[..2].to_vec(), 1), "{place}");
        }
    }

    /// Whichever byte is another, it is told, and keeps no other record out.
    #[test]
    fn a_damaged_byte_is_told_and_costs_one_record() {
        let events = events();
        let whole = file(&events, true);
        for place in 0..whole.len() - FOOTER.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            let (found, count) = read(damaged);
            let is_foreign = place < HEADER.len();
            assert_eq!(found.len(), if is_foreign { 3 } else { 2 }, "{place}");
            assert_eq!(count, 1, "{place}");
        }
    }

    #[test]
    fn a_file_of_another_format_is_known() {
        assert!(is_foreign(b"tenancy-usage-2\nwhatever"));
        assert!(!is_foreign(&file(&events(), true)));
        assert!(!is_foreign(b"tenancy-usa"));
    }
}

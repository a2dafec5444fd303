//! The names of limits as numbers, so that a counter need not keep the name of its limit.

use std::sync::OnceLock;

/// How many names are numbered. A service has fewer limits; whoever has more takes a little longer for the rest.
const SLOTS: u32 = 512;

/// Among how many places a name has one.
const PROBES: u32 = 8;

/// Each name has one number for as long as this lives, or none.
pub(super) struct Names(Box<[OnceLock<Box<str>>]>);

impl Names {
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| OnceLock::new()).collect())
    }

    /// The number of a name, which may be a new one; `None` if its places are taken. They stay taken, so that it never
    /// has one.
    #[inline]
    pub(super) fn number_of(&self, name: &str) -> Option<u32> {
        let first = place(name.as_bytes());
        (0..PROBES).map(|probe| (first + probe) % SLOTS).find(|at| {
            let slot = usize::try_from(*at).ok().and_then(|at| self.0.get(at));
            slot.is_some_and(|slot| &**slot.get_or_init(|| name.into()) == name)
        })
    }
}

/// Where to look first. Those who build a service choose its names, so that this need not be a good hash.
#[inline]
fn place(name: &[u8]) -> u32 {
    let ends = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29)
        }
        _ => name
            .iter()
            .fold(0, |all, byte| (all << 8) | u64::from(*byte)),
    };
    let mixed = (ends ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_no_two_share_one() {
        let names = Names::new();
        let many: Vec<_> = (0..2_000).map(|n| format!("requests-{n}")).collect();
        let numbers: Vec<_> = many.iter().map(|name| names.number_of(name)).collect();
        let again = many.iter().map(|name| names.number_of(name));
        assert!(again.eq(numbers.iter().copied()));
        let mut known: Vec<_> = numbers.iter().flatten().collect();
        assert!(known.len() > 256, "{} have a number", known.len());
        assert!(known.len() < many.len(), "the rest has none");
        known.sort();
        assert!(known.windows(2).all(|two| two[0] != two[1]));
    }

    #[test]
    fn short_and_empty_names_have_numbers_too() {
        let names = Names::new();
        let numbers = ["", "a", "b", "ab", "ba"].map(|name| names.number_of(name));
        for (at, number) in numbers.iter().enumerate() {
            assert!(number.is_some() && !numbers[..at].contains(number));
        }
    }
}

//! Choices by chance that a seed repeats.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

/// SplitMix64 (Steele, Lea & Flood 2014): a seed gives the same run of choices.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    /// One of a list, which is not empty.
    pub fn one_of<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let at = self.below((list.len() as u64).max(1));
        list.get(usize::try_from(at).unwrap_or(0))
    }
}

/// The seed of every run that takes no minutes: a change is red or green each time. This one has found a hole in the
/// check of schemas.
const USUAL: u64 = 1_795_801_346;

/// The seed at `TENANCY_SEED`. Else a usual one, and for [long] runs one of the clock; printed, so that a
/// run can be repeated.
///
/// # Errors
/// What is at `TENANCY_SEED` is no number.
pub fn seed() -> anyhow::Result<u64> {
    let seed = match std::env::var("TENANCY_SEED") {
        Ok(seed) => seed.parse().context("TENANCY_SEED is no number")?,
        Err(_) if long() => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        Err(_) => USUAL,
    };
    println!("TENANCY_SEED={seed}");
    Ok(seed)
}

/// Whether what takes minutes shall run: `TENANCY_LONG=1`.
#[must_use]
pub fn long() -> bool {
    std::env::var("TENANCY_LONG").is_ok_and(|value| value == "1")
}

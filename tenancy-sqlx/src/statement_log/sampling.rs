//! Which statements are in the sample.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// One of so many statements, by their number and not by time.
///
/// Of each block of so many, exactly one, at a place that nobody knows ahead: of statements that take turns, not always
/// the same one, and nobody can choose those that are left out.
#[derive(Debug)]
pub(super) struct Sampling {
    one_in: u64,
    key: RandomState,
    seen: AtomicU64,
}

impl Sampling {
    /// One in so many; none for zero.
    pub(super) fn new(one_in: u32) -> Self {
        Self {
            one_in: u64::from(one_in),
            key: RandomState::new(),
            seen: AtomicU64::new(0),
        }
    }

    /// Counts a statement, and says whether it is in the sample.
    pub(super) fn picks(&self) -> bool {
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        match self.one_in {
            0 => false,
            1 => true,
            many => number % many == self.key.hash_one(number / many) % many,
        }
    }

    /// How many were counted.
    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_of_each_block_is_in_the_sample() {
        for (one_in, expected) in [(0, 0), (1, 6_000), (2, 3_000), (10, 600), (1_000, 6)] {
            let sampling = Sampling::new(one_in);
            let picked = (0..6_000).filter(|_| sampling.picks()).count();
            assert_eq!(picked, expected, "one in {one_in}");
            assert_eq!(sampling.seen(), 6_000);
        }
    }

    /// Two kinds of statements that take turns are each in a sample of one in two. All of one kind: 1 in 2^1,000.
    #[test]
    fn statements_that_take_turns_are_all_sampled() {
        let sampling = Sampling::new(2);
        let even = (0..2_000).filter(|n| sampling.picks() && n % 2 == 0);
        let even = even.count();
        assert!(even > 0 && even < 1_000, "{even} of 1,000");
    }
}

//! Numbers that are drawn again from the same seed.
#![allow(
    clippy::unwrap_used,
    reason = "a conformance suite fails by panicking, like any test"
)]

/// xorshift64*: for conformance suites, in this crate and in others.
///
/// ```
/// use tenancy_core::testing::random::Random;
///
/// let (mut one, mut other) = (Random::new(1), Random::new(1));
/// assert_eq!(one.below(1_000), other.below(1_000));
/// ```
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        // Of zero comes nothing else.
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `count`.
    ///
    /// # Panics
    /// If `count` is zero.
    pub fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % count
    }

    /// Whether one of so many chances comes up.
    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        choices.get(self.below(choices.len())).unwrap()
    }
}

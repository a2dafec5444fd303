//! What a hash costs: memory and passes.

use argon2::{Algorithm, Argon2, Params, Version};

use super::stored::{MAX_MEMORY, MAX_PASSES};
use crate::ConfigError;

/// The least memory of a hash, in KiB, and the least of memory times passes: the weakest pair in the OWASP cheat sheet on
/// password storage (7 MiB, 5 passes).
const LEAST_MEMORY: u32 = 7 * 1024;
const LEAST_WORK: u32 = LEAST_MEMORY * 5;

/// What one hash of Argon2id costs, with one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    memory: u32,
    passes: u32,
}

impl Cost {
    pub(super) const DEFAULT: Self = Self {
        memory: 19 * 1024,
        passes: 2,
    };

    pub(super) fn new(memory: u32, passes: u32) -> Result<Self, ConfigError> {
        let fits = (LEAST_MEMORY..=MAX_MEMORY).contains(&memory)
            && (1..=MAX_PASSES).contains(&passes)
            && memory.saturating_mul(passes) >= LEAST_WORK;
        if fits {
            return Ok(Self { memory, passes });
        }
        Err(ConfigError::new(format!(
            "{memory} KiB and {passes} passes are no cost of a hash: give {LEAST_MEMORY} to {MAX_MEMORY} KiB and 1 to \
             {MAX_PASSES} passes, and no less than {LEAST_WORK} of both multiplied"
        )))
    }

    pub(super) fn argon2(self) -> Option<Argon2<'static>> {
        let params = Params::new(self.memory, self.passes, 1, None).ok()?;
        Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }

    /// Whether a hash that was stored with these parameters cost less.
    pub(super) fn is_more_than(self, stored: &Params) -> bool {
        let work = |memory: u32, passes: u32| u64::from(memory) * u64::from(passes);
        work(stored.m_cost(), stored.t_cost()) < work(self.memory, self.passes)
    }
}

//! Which of several takes are counted where.

use tenancy_core::quota::{Algorithm, CountersError, MAX_TAKES, Take};

/// Where something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// In the memory of this process, or in others' counters.
    Local,
    /// In memory, of what was leased.
    Period,
    /// In the database.
    Held,
}

impl Part {
    /// `None` for a kind that is not known here.
    pub(super) const fn of(algorithm: &Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Rate(_) | Algorithm::Concurrent(_) => Some(Self::Local),
            Algorithm::Period(..) => Some(Self::Period),
            Algorithm::Held(..) => Some(Self::Held),
            _ => None,
        }
    }
}

/// The part of each take, in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    each: [Part; MAX_TAKES],
    len: usize,
}

impl Parts {
    /// # Errors
    /// [`CountersError::Malformed`] if there are too many, or one twice.
    pub(super) fn of(takes: &[Take<'_>]) -> Result<Self, CountersError> {
        let mut parts = Self {
            each: [Part::Local; MAX_TAKES],
            len: takes.len(),
        };
        if takes.len() > MAX_TAKES {
            return Err(CountersError::Malformed);
        }
        for (index, (place, take)) in parts.each.iter_mut().zip(takes).enumerate() {
            *place = Part::of(&take.algorithm).ok_or(CountersError::Malformed)?;
            let is_same = |other: &Take<'_>| {
                other.holder == take.holder
                    && other.limit == take.limit
                    && std::mem::discriminant(&other.algorithm)
                        == std::mem::discriminant(&take.algorithm)
            };
            if takes.iter().take(index).any(is_same) {
                return Err(CountersError::Malformed);
            }
        }
        Ok(parts)
    }

    fn iter(&self) -> impl Iterator<Item = (usize, Part)> + '_ {
        self.each.iter().copied().take(self.len).enumerate()
    }

    pub(super) fn are_all_local(&self) -> bool {
        self.iter().all(|(_, part)| part == Part::Local)
    }

    pub(super) fn has_local(&self) -> bool {
        self.iter().any(|(_, part)| part == Part::Local)
    }

    pub(super) fn has_held(&self) -> bool {
        self.iter().any(|(_, part)| part == Part::Held)
    }

    /// The places of one part.
    pub(super) fn places(&self, part: Part) -> impl Iterator<Item = usize> + '_ {
        let of_part = self.iter().filter(move |(_, one)| *one == part);
        of_part.map(|(place, _)| place)
    }
}

//! Epochs in memory.

use std::collections::HashMap;

use async_trait::async_trait;

use super::MemoryDirectory;
use crate::{DirectoryError, Epoch, EpochDirectory, TokensOf};

/// Each epoch with the change that raised it.
#[derive(Default)]
pub(super) struct Epochs(HashMap<TokensOf, (Epoch, u64)>);

impl Epochs {
    pub(super) fn raise(&mut self, of: &TokensOf, to: Epoch, change: u64) {
        let known = self.0.entry(of.clone()).or_insert((Epoch::NONE, change));
        if to > known.0 {
            *known = (to, change);
        }
    }

    pub(super) fn forget(&mut self, before: Epoch) -> u64 {
        let all = self.0.len();
        self.0.retain(|_, (epoch, _)| *epoch >= before);
        (all - self.0.len()) as u64
    }

    /// The changes that have raised one, from this one on.
    pub(super) fn changes_since(&self, change: u64) -> impl Iterator<Item = u64> {
        let raised = self.0.values().map(|(_, raised)| *raised);
        raised.filter(move |raised| *raised >= change)
    }

    /// Those that were raised by these changes.
    pub(super) fn between(&self, from: u64, until: u64) -> Vec<(TokensOf, Epoch)> {
        let told = |raised: u64| from <= raised && raised <= until;
        let these = self.0.iter().filter(|(_, (_, raised))| told(*raised));
        these.map(|(of, (epoch, _))| (of.clone(), *epoch)).collect()
    }
}

#[async_trait]
impl EpochDirectory for MemoryDirectory {
    async fn find_epoch(&self, of: &[TokensOf]) -> Result<Epoch, DirectoryError> {
        let state = self.read();
        let known = of.iter().filter_map(|of| state.epochs.0.get(of));
        Ok(known.map(|(epoch, _)| *epoch).max().unwrap_or(Epoch::NONE))
    }
}

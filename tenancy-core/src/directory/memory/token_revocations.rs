//! TokenRevocations in memory.

use std::collections::HashMap;

use async_trait::async_trait;

use super::MemoryDirectory;
use crate::{DirectoryError, RevokedBefore, TokenRevocationDirectory, TokenSubject};

/// Each token revocation with the change that raised it.
#[derive(Default)]
pub(super) struct TokenRevocations(HashMap<TokenSubject, (RevokedBefore, u64)>);

impl TokenRevocations {
    pub(super) fn raise(&mut self, of: &TokenSubject, to: RevokedBefore, change: u64) {
        let known = self
            .0
            .entry(of.clone())
            .or_insert((RevokedBefore::NONE, change));
        if to > known.0 {
            *known = (to, change);
        }
    }

    pub(super) fn forget(&mut self, before: RevokedBefore) -> u64 {
        let all = self.0.len();
        self.0
            .retain(|_, (revoked_before, _)| *revoked_before >= before);
        (all - self.0.len()) as u64
    }

    /// The changes that have raised one, from this one on.
    pub(super) fn changes_since(&self, change: u64) -> impl Iterator<Item = u64> {
        let raised = self.0.values().map(|(_, raised)| *raised);
        raised.filter(move |raised| *raised >= change)
    }

    /// Those that were raised by these changes.
    pub(super) fn between(&self, from: u64, until: u64) -> Vec<(TokenSubject, RevokedBefore)> {
        let told = |raised: u64| from <= raised && raised <= until;
        let these = self.0.iter().filter(|(_, (_, raised))| told(*raised));
        these
            .map(|(of, (revoked_before, _))| (of.clone(), *revoked_before))
            .collect()
    }
}

#[async_trait]
impl TokenRevocationDirectory for MemoryDirectory {
    async fn find_token_revocation(
        &self,
        of: &[TokenSubject],
    ) -> Result<RevokedBefore, DirectoryError> {
        let state = self.read();
        let known = of.iter().filter_map(|of| state.token_revocations.0.get(of));
        Ok(known
            .map(|(revoked_before, _)| *revoked_before)
            .max()
            .unwrap_or(RevokedBefore::NONE))
    }
}

//! How an impersonation stands now. Nothing of it is cached.

use super::{Fact, LoadContext};
use crate::{DirectoryError, Impersonation, ImpersonationId, ImpersonationLookup, Timestamp};

/// The record of an impersonation by its id, as the store has it now.
pub(in crate::engine) struct ImpersonationNow;

impl Fact for ImpersonationNow {
    type Key = ImpersonationId;
    type Value = Option<Impersonation>;
    type Error = DirectoryError;

    async fn load(
        context: LoadContext<'_>,
        id: &ImpersonationId,
    ) -> Result<(Timestamp, Option<Impersonation>), DirectoryError> {
        let found = match &context.engine.inner().operators {
            Some(operators) => {
                let by = ImpersonationLookup::Id(*id);
                operators.impersonations().find_impersonation(&by).await?
            }
            None => None,
        };
        Ok((context.now, found))
    }
}

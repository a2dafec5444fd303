//! Since when tokens count, where the feed does not tell.

use super::{Asking, Fact};
use crate::{DirectoryError, Epoch, Timestamp, TokensOf};

/// The newest epoch of any of several.
pub(in crate::engine) struct NewestEpoch;

impl Fact for NewestEpoch {
    type Key = Vec<TokensOf>;
    type Value = Epoch;
    type Error = DirectoryError;

    async fn load(
        asking: Asking<'_>,
        of: &Vec<TokensOf>,
    ) -> Result<(Timestamp, Epoch), DirectoryError> {
        let found = asking.engine.inner().directory.find_epoch(of).await?;
        Ok((asking.now, found))
    }
}

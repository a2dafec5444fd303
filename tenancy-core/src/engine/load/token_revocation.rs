//! Since when tokens count, where the feed does not tell.

use super::{Fact, LoadContext};
use crate::{DirectoryError, RevokedBefore, Timestamp, TokenSubject};

/// The newest token revocation of any of several.
pub(in crate::engine) struct NewestTokenRevocation;

impl Fact for NewestTokenRevocation {
    type Key = Vec<TokenSubject>;
    type Value = RevokedBefore;
    type Error = DirectoryError;

    async fn load(
        asking: LoadContext<'_>,
        of: &Vec<TokenSubject>,
    ) -> Result<(Timestamp, RevokedBefore), DirectoryError> {
        let found = asking.engine.inner().directory.find_epoch(of).await?;
        Ok((asking.now, found))
    }
}

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
        context: LoadContext<'_>,
        of: &Vec<TokenSubject>,
    ) -> Result<(Timestamp, RevokedBefore), DirectoryError> {
        let found = context
            .engine
            .inner()
            .directory
            .find_token_revocation(of)
            .await?;
        Ok((context.now, found))
    }
}

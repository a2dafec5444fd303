//! What an authenticator says of a credential that it has to look up.

use super::{Fact, LoadContext};
use crate::{LookupError, Timestamp, Verdict};

/// Asked of an authenticator, by position.
pub(in crate::engine) struct Checked;

impl Fact for Checked {
    type Key = usize;
    type Value = Verdict;
    type Error = LookupError;

    async fn load(
        context: LoadContext<'_>,
        index: &usize,
    ) -> Result<(Timestamp, Verdict), LookupError> {
        let authenticators = &context.engine.inner().authenticators;
        let (Some(credential), Some(authenticator)) =
            (context.credential, authenticators.get(*index))
        else {
            return Ok((context.now, Verdict::NotMine));
        };
        let verdict = match authenticator.verify(credential, context.now).await? {
            // An authenticator that still can't tell is one that does not recognize it.
            Verdict::NeedsLookup => Verdict::NotMine,
            verdict => verdict,
        };
        Ok((context.now, verdict))
    }
}

//! Whether the directory has told what has changed.

use std::convert::Infallible;

use super::{Fact, LoadContext};
use crate::{TenantId, Timestamp, engine::feed::Poller};

/// The directory has not been heard of recently, or not since this tenant was found to have changed.
///
/// If the directory does not answer, caches are ignored and every look-up goes to the directory.
pub(in crate::engine) struct News;

impl Fact for News {
    type Key = Option<TenantId>;
    /// Whether the directory answered.
    type Value = bool;
    type Error = Infallible;

    const IS_ANSWER: bool = false;

    async fn load(
        context: LoadContext<'_>,
        tenant: &Option<TenantId>,
    ) -> Result<(Timestamp, bool), Infallible> {
        let polled = Poller::of(context.engine).poll_if_stale(*tenant).await;
        if let Err(error) = &polled {
            tracing::warn!(%error, "no news of tenants; asking the directory each time");
        }
        Ok((context.now, polled.is_ok()))
    }
}

//! Handing the trail over to another system, such as a SIEM, through the outbox.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use serde::Serialize;

use super::{AuditEntry, AuditTrail};
use crate::{
    TenantId,
    outbox::{Event, EventHandler, HandlerError},
};

/// The kind of the event that tells of new links.
pub(crate) const SEALED: &str = "trail.sealed";

/// How many entries are handed over at once.
const PAGE: u64 = 500;

/// An entry with the number of its link in its chain.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LinkedEntry {
    /// The number. With the tenant it names the entry for good.
    pub seq: u64,
    /// The entry.
    pub entry: AuditEntry,
}

impl LinkedEntry {
    /// An entry at this place of its chain.
    #[must_use]
    pub const fn new(seq: u64, entry: AuditEntry) -> Self {
        Self { seq, entry }
    }
}

/// Takes entries of the trail in the order of their chain, to send them to another system.
#[async_trait]
pub trait TrailReceiver: Send + Sync {
    /// Takes entries of one chain. The same ones may come again: they have the same numbers.
    ///
    /// # Errors
    /// A [`HandlerError`], after which they come again later, and no later ones of the tenant before them.
    async fn receive(
        &self,
        tenant: Option<TenantId>,
        entries: &[LinkedEntry],
    ) -> Result<(), HandlerError>;
}

/// Reads what an event `trail.sealed` tells of, and hands it to a [`TrailReceiver`]: the handler of a consumer of the
/// outbox, which keeps the place, tries again and sets aside what can't be handed over.
///
/// The events are written by whoever links, if it was told to: `PgAuditSink::tell_links` of `tenancy-sqlx`. Entries
/// that were pruned before they were handed over are gone.
///
/// ```
/// use std::sync::Arc;
///
/// use tenancy_core::{
///     AuditTrail, ExportFormat, LinkedEntry, TenantId, TrailHandOver, TrailReceiver, async_trait,
///     outbox::{HandlerError, Outbox, OutboxConsumer},
/// };
///
/// struct Siem;
///
/// #[async_trait]
/// impl TrailReceiver for Siem {
///     async fn receive(&self, _: Option<TenantId>, entries: &[LinkedEntry]) -> Result<(), HandlerError> {
///         let rows = entries.iter().map(|linked| ExportFormat::Ocsf.row(&linked.entry));
///         send(rows.collect()).await
///     }
/// }
/// # async fn send(_: String) -> Result<(), HandlerError> { Ok(()) }
///
/// async fn run(outbox: impl Outbox + 'static, trail: Arc<dyn AuditTrail>) -> Result<(), Box<dyn std::error::Error>> {
///     let consumer = OutboxConsumer::builder("siem", outbox, TrailHandOver::new(trail, Siem)).build()?;
///     consumer.run(std::future::pending()).await;
///     Ok(())
/// }
/// ```
pub struct TrailHandOver<R> {
    trail: Arc<dyn AuditTrail>,
    receiver: R,
}

impl<R: TrailReceiver> TrailHandOver<R> {
    /// Hands over from this trail to this receiver.
    #[must_use]
    pub fn new(trail: Arc<dyn AuditTrail>, receiver: R) -> Self {
        Self { trail, receiver }
    }
}

#[async_trait]
impl<R: TrailReceiver> EventHandler for TrailHandOver<R> {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        if event.kind != SEALED {
            return Ok(());
        }
        let number = |name| event.payload.get(name).and_then(serde_json::Value::as_u64);
        let (Some(mut from), Some(to)) = (number("from"), number("to")) else {
            return Err(HandlerError::permanent(
                "the event does not say from where to where",
            ));
        };
        while from <= to {
            let until = to.min(from.saturating_add(PAGE - 1));
            let chain = event.tenant.into();
            let entries = self.trail.list_linked(chain, from, until).await?;
            if !entries.is_empty() {
                self.receiver.receive(event.tenant, &entries).await?;
            }
            from = until.saturating_add(1);
        }
        Ok(())
    }
}

impl<R> fmt::Debug for TrailHandOver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrailHandOver").finish_non_exhaustive()
    }
}

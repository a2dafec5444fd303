//! One channel per tenant, between those who write notes and those who listen.
//!
//! Not one channel for all, filtered where it is received: a filter that is forgotten in one place
//! shows every tenant's notes there, one tenant's burst makes all others miss theirs, and how much
//! is missed tells how busy the neighbours are. Here nobody holds what is not theirs, and both ends
//! are named by a context, never by an id that a request brought.
//!
//! The channels are this process's own. Where several serve, a bus must carry the notes between
//! them, such as PostgreSQL's `NOTIFY` or a message broker, with a subject per tenant that is again
//! made from a context.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tenancy::{TenantContext, TenantId};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::notes::Note;

/// How many notes a listener may be behind before it misses some.
pub(crate) const BEHIND: usize = 64;

/// The channels of all tenants that somebody listens to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Channels(Arc<Mutex<HashMap<TenantId, Channel>>>);

#[derive(Debug)]
struct Channel {
    sender: broadcast::Sender<Arc<Note>>,
    listeners: usize,
}

impl Channels {
    /// Tells those who listen to the context's tenant.
    pub(crate) fn publish(&self, context: &TenantContext, note: &Arc<Note>) {
        if let Some(channel) = self.lock().get(&context.tenant_id()) {
            // Whoever leaves at this moment misses nothing that it could have seen.
            let _ = channel.sender.send(Arc::clone(note));
        }
    }

    /// Listens to the context's tenant from now on.
    pub(crate) fn subscribe(&self, context: &TenantContext) -> Subscription {
        let tenant = context.tenant_id();
        let mut channels = self.lock();
        let channel = channels.entry(tenant).or_insert_with(|| Channel {
            sender: broadcast::Sender::new(BEHIND),
            listeners: 0,
        });
        channel.listeners += 1;
        Subscription {
            notes: channel.sender.subscribe(),
            tenant,
            channels: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Channel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a tenant's channel; the channel goes with the last of them.
#[derive(Debug)]
pub(crate) struct Subscription {
    notes: broadcast::Receiver<Arc<Note>>,
    tenant: TenantId,
    channels: Channels,
}

impl Subscription {
    /// The next note, or how many were missed. Safe to drop at any point.
    pub(crate) async fn next(&mut self) -> Result<Arc<Note>, RecvError> {
        self.notes.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get_mut(&self.tenant) {
            channel.listeners -= 1;
            if channel.listeners == 0 {
                channels.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::tests::{context, engine};

    #[tokio::test]
    async fn a_channel_is_its_tenants_and_goes_with_its_last_listener() {
        let (tenancy, channels) = (engine(), Channels::default());
        let (acme, globex) = (context(&tenancy, "acme"), context(&tenancy, "globex"));
        let mut one = channels.subscribe(&acme);
        let two = channels.subscribe(&acme);
        let mut other = channels.subscribe(&globex);
        channels.publish(&globex, &Note::titled("of globex"));
        channels.publish(&acme, &Note::titled("of acme"));
        assert_eq!(one.next().await.unwrap().title(), "of acme");
        assert_eq!(other.next().await.unwrap().title(), "of globex");
        drop(two);
        channels.publish(&acme, &Note::titled("again"));
        assert_eq!(one.next().await.unwrap().title(), "again");
        drop(one);
        assert_eq!(channels.lock().len(), 1, "nobody listens to acme");
        drop(other);
        assert!(channels.lock().is_empty());
    }
}

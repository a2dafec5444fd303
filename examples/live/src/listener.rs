//! What a stream listens to, whatever carries it: its tenant's notes, and its own end.

use std::sync::Arc;

use tenancy::{ContextWatch, Refusal, RefusalKind, TenantContext};
use tokio::sync::broadcast::error::RecvError;

use crate::{
    channels::{Channels, Subscription},
    closing::{Closing, Told},
    notes::Note,
};

/// Something to pass on to the client.
#[derive(Debug)]
pub(crate) enum Heard {
    Note(Arc<Note>),
    /// So many notes were written faster than the client took them.
    Missed(u64),
    /// The stream is over: its context holds no longer, it may not read, or the service closes.
    End(Refusal),
}

/// Listens on behalf of one context. Holds no database connection.
#[derive(Debug)]
pub(crate) struct Listener {
    watch: ContextWatch,
    notes: Subscription,
    told: Told,
}

impl Listener {
    pub(crate) fn new(context: &TenantContext, channels: &Channels, closing: &Closing) -> Self {
        Self {
            watch: context.watch(),
            notes: channels.subscribe(context),
            told: closing.told(),
        }
    }

    /// The context as it was at the last look.
    pub(crate) fn context(&self) -> &TenantContext {
        self.watch.context()
    }

    /// What comes next; nothing comes after the end. Safe to drop at any point.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            tokio::select! {
                // First whether the client may have what comes, then what comes.
                biased;
                () = self.told.closing() => {
                    return Heard::End(Refusal::new(RefusalKind::Unavailable, "closing"));
                }
                changed = self.watch.changed() => {
                    let may_read = changed.and_then(|context| context.require("notes:read"));
                    if let Err(refusal) = may_read {
                        return Heard::End(refusal);
                    }
                }
                note = self.notes.next() => return match note {
                    Ok(note) => Heard::Note(note),
                    Err(RecvError::Lagged(missed)) => Heard::Missed(missed),
                    Err(RecvError::Closed) => {
                        Heard::End(Refusal::new(RefusalKind::Internal, "channel-closed"))
                    }
                },
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tenancy::{
        Membership, MemoryDirectory, SystemRole, Tenancy, TenantRecord, TenantStatus, UserId,
        testing::{ContextBuilder, StoreDirectly as _},
    };
    use tenancy_tests::notes;

    use super::*;
    use crate::channels::BEHIND;

    pub(crate) fn engine() -> Tenancy {
        engine_over(MemoryDirectory::new())
    }

    fn engine_over(directory: MemoryDirectory) -> Tenancy {
        Tenancy::builder(directory)
            .authenticator(notes::authenticator().unwrap())
            .permissions(notes::permissions().unwrap())
            .build()
            .unwrap()
    }

    pub(crate) fn context(tenancy: &Tenancy, slug: &str) -> TenantContext {
        ContextBuilder::new(tenancy, TenantRecord::new(slug.parse().unwrap(), slug)).build()
    }

    /// A listener of a tenant's owner, and what it listens to.
    struct Scene {
        listener: Listener,
        channels: Channels,
        closing: Closing,
        owner: UserId,
    }

    async fn scene() -> Scene {
        let (directory, owner) = (MemoryDirectory::new(), UserId::new());
        let acme =
            TenantRecord::new("acme".parse().unwrap(), "Acme").with_status(TenantStatus::Active);
        directory.create_tenant(&acme).await.unwrap();
        // A tenant keeps an owner; so that this one may be demoted, there is another.
        for user in [owner, UserId::new()] {
            let membership = Membership::new(acme.id, user, SystemRole::Owner.name());
            directory.put_membership(&membership).await.unwrap();
        }
        let tenancy = engine_over(directory);
        let context = ContextBuilder::new(&tenancy, acme).user(owner).build();
        let (channels, closing) = (Channels::default(), Closing::default());
        Scene {
            listener: Listener::new(&context, &channels, &closing),
            channels,
            closing,
            owner,
        }
    }

    #[tokio::test]
    async fn a_slow_listener_learns_how_much_it_missed_and_goes_on() {
        let mut scene = scene().await;
        let context = scene.listener.context().clone();
        for number in 0..BEHIND + 3 {
            let note = Note::titled(&number.to_string());
            scene.channels.publish(&context, &note);
        }
        assert!(matches!(scene.listener.next().await, Heard::Missed(3)));
        let Heard::Note(note) = scene.listener.next().await else {
            panic!("a note");
        };
        assert_eq!(note.title(), "3");
    }

    #[tokio::test]
    async fn who_may_no_longer_read_hears_nothing_more() {
        let mut scene = scene().await;
        let context = scene.listener.context().clone();
        let role = "nothing".parse().unwrap();
        let nobody = Membership::new(context.tenant_id(), scene.owner, role);
        let admin = context.tenancy().admin(tenancy::testing::service());
        admin.put_membership(&nobody).await.unwrap();
        scene.channels.publish(&context, &Note::titled("too late"));
        let Heard::End(refusal) = scene.listener.next().await else {
            panic!("an end");
        };
        assert_eq!(refusal.kind(), RefusalKind::PermissionDenied);
    }
    #[tokio::test]
    async fn a_service_that_closes_is_heard_before_anything_else() {
        let mut scene = scene().await;
        let context = scene.listener.context().clone();
        scene.channels.publish(&context, &Note::titled("too late"));
        scene.closing.begin();
        let Heard::End(refusal) = scene.listener.next().await else {
            panic!("an end");
        };
        assert_eq!(refusal.reason(), "closing");
    }
}

//! The trail, handed over through the outbox.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::ensure;
use tenancy_core::{
    AuditSink as _, LinkedEntry, TenantId, TrailHandOver, TrailReceiver, async_trait,
    outbox::{EventHandler as _, HandlerError, Outbox as _},
};
use tenancy_sqlx::{PgAuditSink, PgOutbox};
use tenancy_tests::notes::on_every_server;

use super::{entry, linked};

/// What was received, by chain, with the numbers of the links.
type Received = BTreeMap<Option<TenantId>, Vec<(u64, uuid::Uuid)>>;

/// Fails once, in the middle.
#[derive(Clone, Default)]
struct Siem(Arc<Mutex<(bool, Received)>>);

impl Siem {
    fn received(&self) -> Received {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.clone()
    }
}

#[async_trait]
impl TrailReceiver for Siem {
    async fn receive(
        &self,
        tenant: Option<TenantId>,
        entries: &[LinkedEntry],
    ) -> Result<(), HandlerError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut state.0, true) {
            return Err(HandlerError::new("the other system does not answer"));
        }
        let received = state.1.entry(tenant).or_default();
        received.extend(entries.iter().map(|linked| (linked.seq, linked.entry.id)));
        Ok(())
    }
}

#[tokio::test]
async fn each_entry_is_handed_over_in_the_order_of_its_chain() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        // Linked before anybody was told.
        let (acme, globex) = (Some(notes.acme.id), Some(notes.globex.id));
        let mut expected: Received = BTreeMap::new();
        for tenant in [acme, globex, None] {
            let entries = linked(notes, tenant, 3).await?;
            expected.insert(
                tenant,
                entries
                    .iter()
                    .map(|entry| entry.id)
                    .zip(1..)
                    .map(|(id, seq)| (seq, id))
                    .collect(),
            );
        }
        let sink = PgAuditSink::new(&notes.system).tell_links();
        let later = entry(acme, 9);
        expected.entry(acme).or_default().push((4, later.id));
        sink.record_durably(later).await?;

        let outbox = PgOutbox::new(&notes.system);
        let request = tenancy_core::outbox::ClaimRequest::new("siem".parse()?);
        let claim = outbox
            .claim(&request)
            .await?
            .ok_or_else(|| anyhow::anyhow!("no claim"))?;
        let siem = Siem::default();
        let trail = Arc::new(notes.directory.clone());
        let handler = TrailHandOver::new(trail, siem.clone());
        let whole = expected.values().map(Vec::len).sum::<usize>();
        let mut refused = 0;
        loop {
            for event in outbox.next_page(&claim, 10).await?.new {
                // A consumer tries again; so does this.
                while handler.handle(&event).await.is_err() {
                    refused += 1;
                }
                outbox.note_success(&claim, event.place, None).await?;
            }
            let received = siem.received();
            if received.values().map(Vec::len).sum::<usize>() >= whole {
                ensure!(received == expected, "{received:?} instead of {expected:?}");
                ensure!(refused == 1, "{refused}");
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await
}

//! The outbox in PostgreSQL: events that commit with their rows, and consumers that crash, stall, see
//! duplicates and meet poisoned events, while writers commit late and roll back.

mod consumers;
mod isolation;
mod random;
mod writes;

use std::time::Duration;

use tenancy_core::outbox::{
    Claim, ClaimRequest, Event, InvalidEvent, NewEvent, Outbox as _, Start, conformance,
};
use tenancy_sqlx::PgOutbox;
use tenancy_tests::notes::{Notes, on_every_server};
use uuid::Uuid;

#[tokio::test]
async fn postgres_conforms() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let outbox = PgOutbox::new(&notes.system);
        let emit = async |events: Vec<NewEvent>| {
            let emitted = outbox.emit(&events).await;
            assert!(emitted.is_ok(), "{emitted:?}");
        };
        conformance::outbox(&outbox, emit).await;
        Ok(())
    })
    .await
}

/// An event with a number.
fn about(kind: &str, number: u64) -> Result<NewEvent, InvalidEvent> {
    NewEvent::new(kind, serde_json::json!({ "number": number }))
}

/// A consumer that handles everything, and begins now.
struct Reader {
    outbox: PgOutbox,
    claim: Claim,
}

impl Reader {
    async fn new(notes: &Notes) -> anyhow::Result<Self> {
        let outbox = PgOutbox::new(&notes.system);
        let name = format!("reader-{}", Uuid::now_v7().simple());
        let mut request = ClaimRequest::new(name.parse()?);
        request.start = Start::Now;
        request.lease = Duration::from_secs(3600);
        let claim = outbox.claim(&request).await?;
        let claim = claim.ok_or_else(|| anyhow::anyhow!("somebody has the lease"))?;
        Ok(Self { outbox, claim })
    }

    async fn drain(&self) -> anyhow::Result<Vec<Event>> {
        let mut handled = Vec::new();
        loop {
            let page = self.outbox.next_page(&self.claim, 10).await?;
            if page.is_empty() {
                return Ok(handled);
            }
            for event in page.new {
                self.outbox
                    .note_success(&self.claim, event.place, None)
                    .await?;
                handled.push(event);
            }
        }
    }
}

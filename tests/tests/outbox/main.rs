//! The outbox in PostgreSQL: events that commit with their rows, and consumers that crash, stall, see
//! duplicates and meet poisoned events, while writers commit late and roll back.

// mod consumers;
// mod copies;
// mod isolation;
// mod random;
// mod upgrade;
// mod writes;

use tenancy_core::outbox::{NewEvent, conformance};
use tenancy_sqlx::PgOutbox;
use tenancy_tests::notes::on_every_server;

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

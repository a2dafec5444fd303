//! The directory in PostgreSQL keeps every promise of the conformance suite, on every server.

use tenancy_core::conformance;
use tenancy_tests::{Server, notes::Notes};

#[tokio::test]
async fn postgres_conforms() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let notes = Notes::start(&server).await?;
        conformance::directory(&notes.directory).await;
        notes.database.close().await?;
    }
    Ok(())
}

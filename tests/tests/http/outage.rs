//! A database that goes away: 503 with `Retry-After`, and recovery without a restart.

use std::time::Duration;

use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{
    DelayProxy, Server, Version,
    notes::{self, Notes},
};

use crate::service::Service;

#[tokio::test]
async fn a_database_that_is_down_is_a_503_and_comes_back_by_itself() -> anyhow::Result<()> {
    let notes = Notes::start(&Server::start(Version::Default).await?).await?;
    notes.seed(&notes.acme, 2).await?;
    let app = notes
        .database
        .options_as("tenancy_app", Some(notes::PASSWORD));
    let proxy = DelayProxy::for_options(&app, Duration::ZERO)?;
    let pool = TenantPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(Duration::from_millis(1500))
        .connect_with(proxy.reroute(app), &notes.tenancy)
        .await?;
    let service = Service::serve(&notes, pool).await?;
    let list = async || service.get(&notes.acme, notes.alice, "/notes").await;
    assert_eq!(list().await?.status, 200);
    assert_eq!(service.get_plain("/ready").await?.status, 200);

    proxy.refuse(true);
    proxy.cut();
    for path in ["/notes", "/ready"] {
        let down = match path {
            "/ready" => service.get_plain(path).await?,
            _ => list().await?,
        };
        assert_eq!(
            (down.status, down.retry_after.as_deref()),
            (503, Some("1")),
            "{path}"
        );
        assert_eq!(down.json()["type"], "urn:tenancy:problem:unavailable");
        assert!(!down.text.contains("127.0.0.1"), "{}", down.text);
    }

    proxy.refuse(false);
    let back = list().await?;
    assert_eq!(
        back.json().as_array().map(Vec::len),
        Some(2),
        "{}",
        back.text
    );
    assert_eq!(service.get_plain("/ready").await?.status, 200);
    notes.database.close().await?;
    Ok(())
}

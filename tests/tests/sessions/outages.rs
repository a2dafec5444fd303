//! A database that is out of reach is waited for by the first caller, and not by every one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::poll_immediate;
use sqlx::Executor as _;
use tenancy_core::{
    AuditEntry, AuditSink as _, Clock as _, GenerationFeed as _, Outcome, Settings, SystemClock,
    TenantDirectory as _, testing::StoreDirectly as _,
};
use tenancy_sqlx::{ErrorKind, PgAuditSink, TenantPool, TenantPoolOptions, danger::SystemPool};
use tenancy_tests::{
    DelayProxy,
    notes::{Notes, PASSWORD, comes_back, on_every_server},
};

/// Longer than any number of refusals takes.
const PATIENCE: Duration = Duration::from_secs(2);

/// A proxy, and a pool behind it that has been used.
async fn used(notes: &Notes, connections: u32) -> anyhow::Result<(DelayProxy, TenantPool)> {
    let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
    let options = TenantPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE);
    let pool = notes.pool_through(&proxy, options).await?;
    pool.ready().await?;
    Ok((proxy, pool))
}

/// Fifty callers in a row are refused in less time than ten of them would wait. One may be finding out.
async fn fifty_are_refused<T, E>(
    mut call: impl AsyncFnMut() -> Result<T, E>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    for number in 0..50 {
        anyhow::ensure!(call().await.is_err(), "call {number} succeeded");
    }
    let took = began.elapsed();
    anyhow::ensure!(took < 10 * PATIENCE, "fifty refusals took {took:?}");
    Ok(())
}

#[tokio::test]
async fn after_the_first_failure_nobody_waits_for_a_server_that_is_down() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool) = used(notes, 2).await?;
        let context = notes.context(&notes.acme);
        proxy.refuse(true);
        proxy.cut();
        let first = pool.begin(&context).await.map(drop).unwrap_err();
        assert_eq!(first.kind(), ErrorKind::Unavailable, "{first}");
        // Which pool, which address and why: in the log, and in the error.
        let address = format!("127.0.0.1:{}/", proxy.address().port());
        assert!(first.to_string().contains(&address), "{first}");
        let logged = tenancy_tests::logwatch::ours_since(0);
        let logged = logged.iter().map(|line| format!("{line}\n"));
        let outage = logged.filter(|line| line.contains("out of reach") && line.contains(&address));
        let outage = outage.collect::<String>();
        assert!(
            outage.contains("tenants") && outage.contains("error"),
            "{outage}"
        );

        fifty_are_refused(async || {
            let refused = pool.begin(&context).await.map(drop);
            if let Err(error) = &refused {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(error.refusal().retry_after().is_some());
            }
            refused
        })
        .await?;
        fifty_are_refused(async || pool.ready().await).await?;

        proxy.refuse(false);
        comes_back(async || pool.ready().await).await?;
        let mut tx = pool.begin(&context).await?;
        assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn after_the_first_failure_one_at_a_time_waits_for_a_silent_network() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool) = used(notes, 2).await?;
        let context = notes.context(&notes.acme);
        proxy.pause();
        let first = pool.begin(&context).await.map(drop).unwrap_err();
        assert_eq!(first.kind(), ErrorKind::Unavailable, "{first}");
        fifty_are_refused(async || pool.begin(&context).await).await?;

        // Whoever is refused is so when first polled. Of those who come when the spacing has passed,
        // one finds out.
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let mut waiting = Vec::new();
            for _ in 0..10 {
                let mut call = Box::pin(pool.begin(&context));
                match poll_immediate(&mut call).await {
                    Some(refused) => assert!(refused.is_err()),
                    None => waiting.push(call),
                }
            }
            assert!(waiting.len() <= 1, "{} are waiting", waiting.len());
            if waiting.len() == 1 {
                break;
            }
            assert!(Instant::now() < deadline, "nobody finds out");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }

        proxy.resume();
        comes_back(async || pool.ready().await).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_finding_out_leaves_the_turn_to_another() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let (proxy, pool) = used(notes, 2).await?;
        proxy.pause();
        assert!(pool.ready().await.is_err());
        // A caller who is not refused at once is finding out, and hangs up.
        for _ in 0..3 {
            while tokio::time::timeout(Duration::from_millis(20), pool.ready())
                .await
                .is_ok()
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }

        proxy.resume();
        comes_back(async || pool.ready().await).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pool_whose_connections_are_all_lent_is_not_taken_for_an_outage() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(1));
        let pool = notes.pool(options).await?;
        let context = notes.context(&notes.acme);
        for _ in 0..3 {
            let lent = pool.begin(&context).await?;
            let (one, other) = tokio::join!(pool.begin(&context), pool.begin(&context));
            for refused in [one, other] {
                let error = refused.map(drop).unwrap_err();
                assert!(
                    matches!(error.driver_error(), Some(sqlx::Error::PoolTimedOut)),
                    "{error}"
                );
            }
            drop(lent);
            // The next one is served, and at once.
            pool.begin(&context).await?.commit().await?;
        }
        Ok(())
    })
    .await
}

/// The directory's connections, those of its feed, the system login's and the audit trail's.
#[tokio::test]
async fn the_librarys_own_connections_are_not_waited_for_either() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let login = notes.database.options_as("tenancy_system", Some(PASSWORD));
        let system = SystemPool::connect_with(proxy.reroute(login)).await?;
        let sink = Arc::new(PgAuditSink::new(&system));
        let directory = notes
            .directory(proxy.reroute(notes.app_options()), 2)
            .await?
            .with_system(&system);
        let id = notes.acme.id;
        let settings = Settings::default();
        let read = async || directory.find_tenant(&id.into()).await;
        let told = async || directory.changes_since(None).await;
        let changed = async || directory.set_settings(id, &settings).await;
        let recorded = async || {
            let entry = AuditEntry::new(SystemClock.now(), "test", Outcome::Allowed);
            sink.record_durably(entry).await
        };
        read().await?;

        proxy.refuse(true);
        proxy.cut();
        let (read_first, changed_first) = tokio::join!(read(), changed());
        assert!(read_first.is_err(), "{read_first:?}");
        assert!(changed_first.is_err(), "{changed_first:?}");
        // What one of the logins has learned, all that use it know.
        fifty_are_refused(read).await?;
        fifty_are_refused(told).await?;
        fifty_are_refused(changed).await?;
        fifty_are_refused(recorded).await?;

        proxy.refuse(false);
        comes_back(read).await?;
        comes_back(told).await?;
        comes_back(changed).await?;
        comes_back(recorded).await?;
        Ok(())
    })
    .await
}

//! Round trips, counted between client and server.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgPoolOptions;
use tenancy_sqlx::{TenantPool, TenantPoolOptions, TxOptions};
use tenancy_tests::{
    DelayProxy,
    notes::{Notes, at_rest, on_every_server},
};

const QUERY: &str = "SELECT body FROM notes ORDER BY body LIMIT 1";

/// A proxy, and a pool of one behind it whose statement is prepared.
async fn warm(
    notes: &Notes,
    options: TenantPoolOptions,
) -> anyhow::Result<(DelayProxy, TenantPool)> {
    let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
    let pool = notes
        .pool_through(&proxy, options.max_connections(1))
        .await?;
    let db = pool.tenant(&notes.context(&notes.globex))?;
    sqlx::query(QUERY).fetch_one(&db).await?;
    Ok((proxy, pool))
}

#[tokio::test]
async fn a_transaction_takes_as_many_round_trips_as_without_a_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool) = warm(notes, TenantPoolOptions::new().check_session_every(0)).await?;
        let context = notes.context(&notes.acme);
        at_rest(&pool, 1).await?;
        let before = proxy.round_trips();
        let mut tx = pool.begin(&context).await?;
        sqlx::query(QUERY).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        let ours = proxy.round_trips() - before;

        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let plain = PgPoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect_with(proxy.reroute(notes.app_options()))
            .await?;
        sqlx::query(QUERY).fetch_optional(&plain).await?;
        at_rest(&plain, 1).await?;
        let before = proxy.round_trips();
        let mut tx = plain.begin().await?;
        sqlx::query(QUERY).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        let theirs = proxy.round_trips() - before;

        assert_eq!((ours, theirs), (3, 3));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_single_statement_takes_three_and_a_reader_two() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new().check_session_every(0);
        let (proxy, pool) = warm(notes, options).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let reader = db.reader();
        for _ in 0..3 {
            at_rest(&pool, 1).await?;
            let before = proxy.round_trips();
            sqlx::query(QUERY).fetch_one(&db).await?;
            at_rest(&pool, 1).await?;
            assert_eq!(proxy.round_trips() - before, 3);

            let before = proxy.round_trips();
            sqlx::query(QUERY).fetch_one(&reader).await?;
            at_rest(&pool, 1).await?;
            assert_eq!(proxy.round_trips() - before, 2);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn options_and_strictness_travel_in_begin() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool) = warm(notes, TenantPoolOptions::new().strict(true)).await?;
        at_rest(&pool, 1).await?;
        let before = proxy.round_trips();
        let options = TxOptions::new()
            .read_only()
            .statement_timeout(Duration::from_secs(1));
        let tx = pool
            .begin_with(&notes.context(&notes.acme), options)
            .await?;
        assert_eq!(proxy.round_trips() - before, 1);
        drop(tx);
        Ok(())
    })
    .await
}

/// `DISCARD ALL` would take the prepared statements along, and sqlx would not know.
#[tokio::test]
async fn prepared_statements_outlive_the_reset_of_the_session() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (_proxy, pool) = warm(notes, TenantPoolOptions::new()).await?;
        let prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement = $1";
        for tenant in [&notes.acme, &notes.globex, &notes.acme] {
            let db = pool.tenant(&notes.context(tenant))?;
            sqlx::query(QUERY).fetch_one(&db).await?;
            let count: i64 = sqlx::query_scalar(prepared)
                .bind(QUERY)
                .fetch_one(&db)
                .await?;
            assert_eq!(count, 1);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_context_reads_in_parallel_and_in_streams() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes.seed(&notes.acme, 2_000).await?;
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(4))
            .await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let stream = || async {
            let mut rows = sqlx::query("SELECT tenant_id FROM notes").fetch(&db);
            let mut count = 0;
            while rows.try_next().await?.is_some() {
                count += 1;
            }
            Ok::<_, sqlx::Error>(count)
        };
        let counts = tokio::try_join!(stream(), stream(), stream(), stream())?;
        assert_eq!(counts, (2_003, 2_003, 2_003, 2_003));
        Ok(())
    })
    .await
}

//! Seals that were seen by others, such as in `pg_stat_activity`, and are presented again.

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_tests::notes::sqlstate;

use crate::{in_both_ways, talk::Session};

/// Whatever the session is made to do in between, a seal for another tenant that was used is used.
#[tokio::test]
async fn a_seal_is_good_once() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let (acme, globex) = (notes.acme.id.as_uuid(), notes.globex.id.as_uuid());
        for between in [
            "SELECT",
            "ROLLBACK",
            "BEGIN; SELECT tenancy_seal.leave(); ROLLBACK",
            "BEGIN READ WRITE; SELECT tenancy_seal.open(); ROLLBACK",
            "SELECT tenancy_seal.leave()",
            "SELECT tenancy_seal.open()",
            "RESET ALL",
            "DISCARD ALL",
            "BEGIN; RESET ALL; ROLLBACK",
            "SELECT set_config('tenancy.session', '', false)",
        ] {
            let mut session = Session::open(notes).await?;
            let foreign = session.seal(1, globex).sql()?;
            assert_eq!(session.present(&foreign).await?, "00000");
            assert_eq!(session.seen().await?, [(globex, 5)]);
            let own = session.seal(2, acme).sql()?;
            assert_eq!(session.present(&own).await?, "00000");
            assert_eq!(session.seen().await?, [(acme, 3)]);

            session.execute(between).await?;
            assert_ne!(session.present(&foreign).await?, "00000", "{between}");
            assert_ne!(session.present(&own).await?, "00000", "{between}");
            let seen = session.seen().await?;
            assert!(
                seen.is_empty() || seen == [(acme, 3)],
                "{between}: {seen:?}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_seal_is_good_in_one_session() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let acme = notes.acme.id.as_uuid();
        let (mut one, mut other) = (Session::open(notes).await?, Session::open(notes).await?);
        let seal = one.seal(1, acme).sql()?;
        assert_eq!(other.present(&seal).await?, "55000");
        assert_eq!(other.seen().await?, []);
        // Nor after the session that it was made for has been opened anew, or not at all.
        let late = other.seal(1, acme).sql()?;
        other.reopen().await?;
        assert_eq!(other.present(&late).await?, "55000");
        other.execute("RESET ALL").await?;
        let unopened = other.seal(1, acme).sql()?;
        assert_eq!(other.present(&unopened).await?, "55000");
        assert_eq!(one.present(&seal).await?, "00000");
        assert_eq!(one.seen().await?, [(acme, 3)]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn counters_only_grow() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let acme = notes.acme.id.as_uuid();
        let mut session = Session::open(notes).await?;
        for (counter, expected) in [
            (5, "00000"),
            (5, "42501"),
            (4, "42501"),
            (0, "42501"),
            (-1, "42501"),
            (i64::MAX, "00000"),
            (i64::MIN, "42501"),
        ] {
            let seal = session.seal(counter, acme).sql()?;
            assert_eq!(session.present(&seal).await?, expected, "{counter}");
        }
        Ok(())
    })
    .await
}

/// What such a transaction has deferred would run under the new name, and its end would take the
/// counter back.
#[tokio::test]
async fn nobody_is_named_in_a_transaction_that_was_open() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let globex = notes.globex.id.as_uuid();
        let mut session = Session::open(notes).await?;
        let seal = session.seal(1, globex).sql()?;
        session.execute("BEGIN READ WRITE").await?;
        let outcome = session.execute(AssertSqlSafe(seal.clone())).await;
        assert_eq!(sqlstate(outcome), "55000");
        session.execute("ROLLBACK").await?;
        session.execute("BEGIN READ WRITE").await?;
        assert_eq!(session.present(&seal).await?, "55000");
        assert_eq!(session.present(&seal).await?, "00000");
        Ok(())
    })
    .await
}

//! What an impersonation rests on ends while it begins, on another connection.

use std::{future::Future, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tenancy_core::{
    Clock as _, ImpersonationPolicy, ImpersonationState, ImpersonationStore as _, ManualClock,
    NewImpersonation, Operator, OperatorContext, OperatorRole, Operators, StoreError,
    StoreErrorKind, SystemClock, UserId,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    key::Pepper,
    testing::{FakeRequest, service, unattributed},
};
use tenancy_tests::{
    logwatch,
    notes::{self, Notes, PEPPER, on_every_server},
};

use crate::world::{STAFF, STAFF_SECRET, staff_token};

const FAIL_SAFE: Duration = Duration::from_secs(20);

/// An operator whose engine asks for consent.
async fn mia(notes: &Notes, clock: Arc<ManualClock>) -> anyhow::Result<OperatorContext> {
    logwatch::issued(STAFF_SECRET);
    let key = VerificationKey::hmac(Algorithm::HS256, STAFF_SECRET)?;
    let staff = JwtAuthenticator::builder(STAFF, "console").key(key);
    let policy = ImpersonationPolicy::new(Pepper::new(1, PEPPER)?).require_consent();
    let operators = Operators::new(notes.directory.clone())
        .authenticator(staff.build()?)
        .impersonation(policy);
    let console = notes::builder(notes.directory.clone())?
        .operators(operators)
        .clock(clock.clone())
        .build()?;
    let mia = Operator::new(STAFF, UserId::new(), "Mia", [OperatorRole::Support]);
    console.admin(service()).put_operator(&mia).await?;
    let token = staff_token(mia.subject, clock.now())?;
    let request = FakeRequest::new("/operators").bearer(&token);
    let context = console.authenticate_operator(&request).resolve().await;
    context.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))
}

/// Ends something by SQL of another connection, and commits that once the call waits for it.
async fn while_it_ends<T>(
    notes: &Notes,
    end: &str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> anyhow::Result<Result<T, StoreError>> {
    let mut admin = notes.database.admin().await?;
    let mut ending = admin.begin().await?;
    let done = sqlx::query(AssertSqlSafe(end))
        .execute(&mut *ending)
        .await?;
    anyhow::ensure!(done.rows_affected() == 1, "there is something to end");
    let commit = async {
        let mut other = notes.database.admin().await?;
        until_somebody_waits(&mut other).await?;
        ending.commit().await?;
        anyhow::Ok(())
    };
    let both = async { tokio::join!(call, commit) };
    let (called, committed) = tokio::time::timeout(FAIL_SAFE, both).await?;
    committed?;
    Ok(called)
}

async fn until_somebody_waits(connection: &mut PgConnection) -> anyhow::Result<()> {
    loop {
        let waits: bool = sqlx::query_scalar(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
                 AND wait_event_type = 'Lock' AND query LIKE '%FOR SHARE%'",
        )
        .fetch_one(&mut *connection)
        .await?;
        if waits {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consent_or_a_member_that_goes_meanwhile_lets_nobody_begin() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let clock = Arc::new(ManualClock::now_frozen());
        let mia = mia(notes, clock.clone()).await?;
        let (acme, alice) = (notes.acme.id, notes.alice);
        let until = clock.now() + Duration::from_secs(3_600);
        let directory = &notes.directory;
        for end in [
            format!("DELETE FROM tenancy.support_access WHERE tenant_id = '{acme}'"),
            format!(
                "UPDATE tenancy.support_access SET until = now() + interval '1 second' WHERE tenant_id = '{acme}'"
            ),
            format!(
                "UPDATE tenancy.memberships SET status = 'suspended'
                 WHERE tenant_id = '{acme}' AND user_id = '{alice}'"
            ),
        ] {
            let record = unattributed();
            directory.grant_support_access(acme, until, &record).await?;
            let asked = NewImpersonation::new(acme, alice, "a test");
            let begun = while_it_ends(notes, &end, mia.impersonate(asked)).await?;
            assert_eq!(begun.unwrap_err().kind(), StoreErrorKind::Forbidden, "{end}");
            let none = directory.list_impersonations(Some(acme), None, 9).await?;
            assert_eq!(none, [], "{end}");
        }
        Ok(())
    })
    .await
}

/// The other way round: what has begun before the consent is gone ends with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_consent_back_ends_what_begins_meanwhile() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let clock = Arc::new(ManualClock::now_frozen());
        let mia = mia(notes, clock.clone()).await?;
        let acme = notes.acme.id;
        for _ in 0..20 {
            let until = clock.now() + Duration::from_secs(3_600);
            let (record, other) = (unattributed(), unattributed());
            let directory = &notes.directory;
            directory.grant_support_access(acme, until, &record).await?;
            let asked = NewImpersonation::new(acme, notes.alice, "a test");
            let withdrawn = directory.revoke_support_access(acme, clock.now(), &other);
            let (begun, withdrawn) = tokio::join!(mia.impersonate(asked), withdrawn);
            withdrawn?;
            if let Err(error) = &begun {
                assert_eq!(error.kind(), StoreErrorKind::Forbidden, "{error}");
            }
            let all = directory.list_impersonations(Some(acme), None, 100).await?;
            assert!(all.iter().all(|one| one.ended_at.is_some()), "{begun:?}");
        }
        Ok(())
    })
    .await
}

/// A console whose clock is slow, one whose clock is fast, and the database: what is over by one of them is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_clocks_that_differ_the_earliest_end_counts() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        const HOUR: Duration = Duration::from_secs(3_600);
        let (acme, now) = (notes.acme.id, SystemClock.now());
        let slow = now - 2 * HOUR;
        let fast = now + 2 * HOUR;
        let directory = &notes.directory;
        let agree = async |until| {
            let record = unattributed();
            directory.grant_support_access(acme, until, &record).await
        };
        let asked = || NewImpersonation::new(acme, notes.alice, "a test");

        // By the slow clock, the tenant agrees for another hour. By the server's it has not agreed for as long.
        let by_slow = mia(notes, Arc::new(ManualClock::at(slow))).await?;
        agree(slow + HOUR).await?;
        let late = by_slow.impersonate(asked()).await.unwrap_err();
        assert_eq!(late.kind(), StoreErrorKind::Forbidden, "{late}");
        // What it begins by consent that goes on is over for everybody whose clock is right.
        agree(now + HOUR).await?;
        let begun = by_slow.impersonate(asked()).await?.impersonation;
        assert_eq!(begun.state(slow), ImpersonationState::Live);
        assert_eq!(begun.state(now), ImpersonationState::Ended);

        // What a fast clock begins ends by the server's.
        agree(fast + HOUR).await?;
        let by_fast = mia(notes, Arc::new(ManualClock::at(fast))).await?;
        let begun = by_fast.impersonate(asked()).await?.impersonation;
        assert_eq!(
            begun.state(now + HOUR),
            ImpersonationState::Live,
            "by the record alone"
        );
        let mut admin = notes.database.admin().await?;
        let left: f64 = sqlx::query_scalar(
            "SELECT extract(epoch FROM ends_at - statement_timestamp())::float8
             FROM tenancy.impersonations WHERE id = $1",
        )
        .bind(begun.id.as_uuid())
        .fetch_one(&mut admin)
        .await?;
        assert!((0.0..=1_800.0).contains(&left), "{left}");
        Ok(())
    })
    .await
}

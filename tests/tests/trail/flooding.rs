//! A flood of refusals neither fills the trail, nor takes the place of what others record, nor keeps them waiting.

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::ensure;
use tenancy_core::{
    Admission, AuditTrail as _, ManualClock, Refusal, RefusalKind, RouteNeeds, Tenancy, UserId,
    testing::FakeRequest,
};
use tenancy_sqlx::PgAuditSink;
use tenancy_tests::{
    long,
    notes::{self, PASSWORD, on_every_server},
};

use super::{entry, report, system};

/// What may be recorded of strangers in ten seconds, whatever they do, and of one member for one reason.
const OF_STRANGERS: u64 = 256;
const OF_A_MEMBER: u64 = 16;

/// How many requests arrive in a millisecond.
const IN_A_MILLISECOND: u64 = 10;

async fn ask(tenancy: &Tenancy, token: Option<&str>, from: u64) -> Result<(), Refusal> {
    let [.., a, b, c] = from.to_be_bytes();
    let mut request = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .peer(IpAddr::from([10, a, b, c]));
    if let Some(token) = token {
        request = request.bearer(token);
    }
    match tenancy.admit(&request, RouteNeeds::tenant()) {
        Admission::Ready(decided) => decided.map(drop),
        Admission::Pending(pending) => pending.resolve().await.map(drop),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refusals_is_counted_and_leaves_the_trail_to_others() -> anyhow::Result<()> {
    let (flood, own) = if long() {
        (1_000_000, 1_000)
    } else {
        (20_000, 200)
    };
    on_every_server(async |notes| {
        let options = notes.database.options_as("tenancy_audit", Some(PASSWORD));
        let sink = Arc::new(PgAuditSink::connect_with(options).await?);
        let clock = Arc::new(ManualClock::now_frozen());
        let tenancy = notes::builder(notes.directory.clone())?
            .clock(clock.clone())
            .shared_audit(sink.clone())
            .build()?;
        let (member, stranger) = (notes::token(notes.alice)?, notes::token(UserId::new())?);
        for number in 0..flood {
            if number % IN_A_MILLISECOND == 0 {
                clock.advance(Duration::from_millis(1));
            }
            // Of any address without a token, and one who is no member.
            let token = (number % 2 == 0).then_some(stranger.as_str());
            ensure!(ask(&tenancy, token, number).await.is_err());
            if number % (flood / own) == 0 {
                ask(&tenancy, Some(&member), number).await?;
                tenancy.audit().record(entry(Some(notes.acme.id), number));
            }
        }
        let ended = tenancy.shutdown(Duration::from_secs(60)).await;
        ensure!(ended.is_complete(), "{ended:?}");

        let refused: u64 = RefusalKind::ALL
            .iter()
            .map(|kind| tenancy.refused(*kind))
            .sum();
        ensure!(refused == flood, "{refused} were counted");
        ensure!(sink.dropped() == 0, "{} were dropped", sink.dropped());
        let (kept, of_flood, left_out): (i64, i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE action = 'note.share' AND tenant_id = $1),
                 count(*) FILTER (WHERE outcome = 'refused'),
                 coalesce(sum(suppressed) FILTER (WHERE outcome = 'refused'), 0)::bigint
             FROM tenancy.audit_records",
        )
        .bind(notes.acme.id.as_uuid())
        .fetch_one(&mut system(notes).await?)
        .await?;
        ensure!(u64::try_from(kept)? == own, "{kept} of {own} were kept");
        let tens = flood / IN_A_MILLISECOND / 10_000 + 1;
        let most = (OF_STRANGERS + OF_A_MEMBER) * (tens + 1);
        let (of_flood, left_out) = (u64::try_from(of_flood)?, u64::try_from(left_out)?);
        println!(
            "{flood} refusals: {of_flood} entries, which tell of {left_out} others; at most {most}"
        );
        ensure!(
            (OF_STRANGERS..=most).contains(&of_flood),
            "{of_flood}, at most {most}"
        );
        // What was left out after the last entry is told by the next one.
        ensure!(left_out + of_flood <= flood && left_out + of_flood > flood / 2);
        notes.directory.seal().await?;
        ensure!(report(notes, Some(notes.acme.id)).await?.is_whole());
        Ok(())
    })
    .await
}

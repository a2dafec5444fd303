use std::time::Duration;

use tenancy_core::TenantId;
use tenancy_usage::{EventErrorKind, UsageEvent, UsageMeter, UsageMeters};

use super::{NOW, Switched, files, left, meters, reopened, spooling, tokens};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_is_recorded_counts_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, acme, globex) = (Switched::new(), TenantId::new(), TenantId::new());
    let spool = spooling(&sink, directory.path()).build().unwrap();
    spool.record_durably(tokens(globex, 7)).await.unwrap();
    for id in 1..=2_500 {
        spool.record(tokens(acme, id)).unwrap();
    }
    spool.flush().await.unwrap();
    assert_eq!(sink.tokens(acme).await, (3_126_250, 2_500));
    assert_eq!(sink.tokens(globex).await, (7, 1));
    spool.record_durably(tokens(acme, 3_000)).await.unwrap();
    spool.close(LIMIT).await.unwrap();
    spool.close(LIMIT).await.unwrap();
    assert_eq!(sink.tokens(acme).await, (3_129_250, 2_501));
    let status = spool.status();
    assert_eq!(
        (
            status.counted,
            status.refused,
            status.dropped,
            status.damaged
        ),
        (2_502, 0, 0, 0)
    );
    assert_eq!((status.disk_bytes, status.buffered_bytes), (0, 0));
    assert_eq!(
        files(directory.path(), ""),
        Vec::<std::path::PathBuf>::new()
    );
    let refused = spool.record(tokens(acme, 4_000)).unwrap_err();
    assert_eq!(refused.kind(), EventErrorKind::NoRoom);
    assert_eq!(spool.dropped(), 1);
}

/// Also when files are left of which the sink had counted a part: by id and time they are the same events.
#[tokio::test]
async fn what_a_process_has_left_is_sent_at_the_next_start_and_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, acme) = (Switched::new(), TenantId::new());
    let spool = spooling(&sink, directory.path())
        .segment_bytes(4_096)
        .build()
        .unwrap();
    for id in 1..=10 {
        spool.record(tokens(acme, id)).unwrap();
    }
    spool.flush().await.unwrap();
    for id in 11..=40 {
        spool.record_durably(tokens(acme, id)).await.unwrap();
    }
    assert_eq!(sink.tokens(acme).await, (55, 10));
    left(spool, &sink).await;
    assert!(
        files(directory.path(), "0").len() > 1,
        "there are several files"
    );

    sink.clock.advance(Duration::from_secs(3_600));
    let spool = reopened(&sink, directory.path()).await;
    spool.record(tokens(acme, 40)).unwrap();
    spool.close(LIMIT).await.unwrap();
    assert_eq!(sink.tokens(acme).await, (820, 40));
    assert!(files(directory.path(), "").is_empty());
}

#[tokio::test]
async fn one_spool_owns_a_directory_until_it_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Switched::new();
    let first = spooling(&sink, directory.path()).build().unwrap();
    let refused = spooling(&sink, directory.path()).build().unwrap_err();
    assert!(
        refused.to_string().contains("another process owns"),
        "{refused}"
    );
    first.close(LIMIT).await.unwrap();
    let second = spooling(&sink, directory.path()).build().unwrap();
    // The first one, which is still there, leaves it alone.
    first.flush().await.unwrap();
    second.close(LIMIT).await.unwrap();
}

/// What the sink does not count for good is in a file, with what is to be mended.
#[tokio::test]
async fn what_is_refused_is_kept_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Switched::counting(
        UsageMeters::new([UsageMeter::sum("tokens").dimension("model")]).unwrap(),
    );
    let acme = TenantId::new();
    let spool = spooling(&sink, directory.path()).build().unwrap();
    spool.record(tokens(acme, 1)).unwrap();
    spool.record(tokens(acme, 1).quantity(2)).unwrap();
    spool
        .record(UsageEvent::new(acme, "exports", "test", "2", NOW))
        .unwrap();
    spool
        .record(UsageEvent {
            at: NOW - Duration::from_secs(40 * 86_400),
            ..tokens(acme, 3)
        })
        .unwrap();
    spool
        .record(UsageEvent {
            at: NOW + Duration::from_secs(3_600),
            ..tokens(acme, 4)
        })
        .unwrap();
    spool.close(LIMIT).await.unwrap();
    let status = spool.status();
    assert_eq!((status.counted, status.refused), (1, 4));
    let kept = std::fs::read_to_string(directory.path().join("refused.jsonl")).unwrap();
    assert_eq!(status.disk_bytes, kept.len() as u64);
    let lines: Vec<serde_json::Value> = kept
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| line["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["conflict", "unmatched", "too late", "refused"]);
    assert!(
        lines[1]["why"].as_str().unwrap().contains("`exports`"),
        "{kept}"
    );
    let event: UsageEvent = serde_json::from_value(lines[2]["event"].clone()).unwrap();
    assert_eq!(event.id, "3".into());
}

/// What waits longer than late events are taken is not lost either.
#[tokio::test]
async fn an_event_that_has_waited_too_long_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, acme) = (Switched::new(), TenantId::new());
    let spool = spooling(&sink, directory.path()).build().unwrap();
    spool.record(tokens(acme, 1)).unwrap();
    left(spool, &sink).await;
    sink.clock.advance(Duration::from_secs(35 * 86_400));
    let spool = reopened(&sink, directory.path()).await;
    spool.close(LIMIT).await.unwrap();
    assert_eq!(spool.status().refused, 1);
    let kept = std::fs::read_to_string(directory.path().join("refused.jsonl")).unwrap();
    assert!(
        kept.contains("too late") && kept.contains("backfill"),
        "{kept}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_event_is_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, acme) = (Switched::new(), TenantId::new());
    let spool = spooling(&sink, directory.path()).build().unwrap();
    let wrong = UsageEvent::new(acme, "undeclared", "test", "1", NOW);
    let refused = spool.record(wrong.clone()).unwrap_err();
    assert_eq!(refused.kind(), EventErrorKind::UndeclaredMeter);
    let refused = spool
        .record_durably(tokens(acme, 1).quantity(-1))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), EventErrorKind::NegativeQuantity);
    spool.close(LIMIT).await.unwrap();
    assert_eq!(
        spool.status().counted + spool.status().refused + spool.dropped(),
        0
    );
    assert!(meters().get("tokens").is_some());
}

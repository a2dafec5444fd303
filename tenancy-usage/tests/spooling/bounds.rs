use std::time::Duration;

use tenancy_core::TenantId;
use tenancy_usage::{EventErrorKind, UsageErrorKind};

use super::{Switched, spooling, tokens};

const LIMIT: Duration = Duration::from_secs(30);

/// While the sink is away the directory grows to what it may have, and not further; then there is room again.
#[tokio::test]
async fn a_full_directory_takes_no_more_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, acme) = (Switched::new(), TenantId::new());
    let spool = spooling(&sink, directory.path())
        .segment_bytes(4_096)
        .max_bytes(16_384)
        .build()
        .unwrap();
    sink.away(true);
    let mut taken = 0;
    let refused = loop {
        match spool.record_durably(tokens(acme, taken + 1)).await {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
        assert!(taken < 1_000, "there is no bound");
    };
    assert_eq!(refused.kind(), EventErrorKind::NoRoom);
    assert!(refused.to_string().contains("max_bytes"), "{refused}");
    assert!(taken > 20, "{taken}");
    assert_eq!(spool.dropped(), 1);
    // The ends of files are small, and not counted beforehand.
    assert!(spool.status().disk_bytes <= 16_384, "{:?}", spool.status());

    let failed = spool.flush().await.unwrap_err();
    assert_eq!(failed.kind(), UsageErrorKind::Unavailable);
    let fault = spool.status().sink_fault;
    assert!(
        fault
            .as_deref()
            .is_some_and(|fault| fault.contains("switched off")),
        "{fault:?}"
    );
    sink.away(false);
    spool.flush().await.unwrap();
    assert_eq!(spool.status().sink_fault, None);
    spool.record(tokens(acme, taken + 1)).unwrap();
    spool.close(LIMIT).await.unwrap();
    assert_eq!(sink.tokens(acme).await.1, u64::from(taken) + 1);
}

#[tokio::test]
async fn a_full_buffer_takes_no_more_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, acme) = (Switched::new(), TenantId::new());
    let spool = spooling(&sink, directory.path())
        .commit_each(Duration::from_secs(3_600))
        .buffer_bytes(1_000)
        .build()
        .unwrap();
    let mut taken = 0;
    while spool.record(tokens(acme, taken + 1)).is_ok() {
        taken += 1;
        assert!(taken < 100, "there is no bound");
    }
    assert!((1..10).contains(&taken), "{taken}");
    assert_eq!(spool.dropped(), 1);
    let status = spool.status();
    assert!(
        status.buffered_bytes > 0 && status.buffered_bytes <= 1_000,
        "{status:?}"
    );
    spool.close(LIMIT).await.unwrap();
    assert_eq!(sink.tokens(acme).await.1, u64::from(taken));
}

#[tokio::test]
async fn sizes_that_can_not_work_show_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Switched::new();
    for builder in [
        spooling(&sink, directory.path()).segment_bytes(100),
        spooling(&sink, directory.path()).max_bytes(100),
    ] {
        let refused = builder.build().unwrap_err().to_string();
        assert!(refused.contains("segment_bytes"), "{refused}");
    }
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = spooling(&sink, &file).build().unwrap_err().to_string();
    assert!(refused.contains("can't be made"), "{refused}");
}

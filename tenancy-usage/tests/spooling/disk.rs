use std::{fs, time::Duration};

use tenancy_core::TenantId;
use tenancy_usage::EventErrorKind;

use super::{Switched, files, spooling, tokens};

const LIMIT: Duration = Duration::from_secs(30);

/// What the disk does not take is told to those who wait, and stays in memory until it does.
#[tokio::test]
async fn a_directory_that_is_gone_is_told_and_nothing_is_lost_when_it_is_back() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("spool");
    let (sink, acme) = (Switched::new(), TenantId::new());
    let spool = spooling(&sink, &directory).build().unwrap();
    spool.record_durably(tokens(acme, 1)).await.unwrap();
    spool.flush().await.unwrap();
    fs::remove_dir_all(&directory).unwrap();
    for id in [2, 3] {
        let refused = spool.record_durably(tokens(acme, id)).await.unwrap_err();
        assert_eq!(refused.kind(), EventErrorKind::NotWritten, "{refused}");
        assert!(refused.to_string().contains("same id"), "{refused}");
    }
    assert!(spool.status().disk_fault.is_some());
    fs::create_dir(&directory).unwrap();
    // Again, as the error says.
    spool.record_durably(tokens(acme, 3)).await.unwrap();
    assert_eq!(spool.status().disk_fault, None);
    spool.close(LIMIT).await.unwrap();
    assert_eq!(sink.tokens(acme).await, (6, 3));
    assert_eq!(spool.dropped(), 0);
}

/// The end waits as long as it may, and then says what is lost.
#[tokio::test]
async fn what_the_disk_has_not_taken_at_the_end_is_counted() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("spool");
    let (sink, acme) = (Switched::new(), TenantId::new());
    let spool = spooling(&sink, &directory).build().unwrap();
    fs::remove_dir_all(&directory).unwrap();
    for id in 1..=3 {
        spool.record(tokens(acme, id)).unwrap();
    }
    assert!(spool.close(Duration::from_millis(200)).await.is_err());
    // The thread ends by itself, a moment later.
    for _ in 0..1_000 {
        if spool.dropped() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(spool.dropped(), 3);
}

/// Its files name tenants and users.
#[cfg(unix)]
#[tokio::test]
async fn its_user_alone_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a").join("spool");
    let (sink, acme) = (Switched::new(), TenantId::new());
    let spool = spooling(&sink, &directory).build().unwrap();
    // Another content under the same id, which is refused.
    spool.record(tokens(acme, 1)).unwrap();
    spool.record(tokens(acme, 1).quantity(2)).unwrap();
    spool.flush().await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = files(&directory, "");
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files.iter().chain([&directory.join("lock")]) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert_eq!(mode(&directory), 0o700);
}

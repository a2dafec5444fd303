use std::{fs, path::Path, time::Duration};

use tenancy_core::TenantId;

use super::{Switched, files, left, reopened, spooling, tokens};

const LIMIT: Duration = Duration::from_secs(30);

/// Leaves one file with the events 1, 2 and 4.
async fn three_left(
    sink: &std::sync::Arc<Switched>,
    directory: &Path,
    tenant: TenantId,
) -> Vec<u8> {
    let spool = spooling(sink, directory).build().unwrap();
    for id in [1, 2, 4] {
        spool.record_durably(tokens(tenant, id)).await.unwrap();
    }
    left(spool, sink).await;
    let files = files(directory, "0");
    assert_eq!(files.len(), 1);
    fs::read(&files[0]).unwrap()
}

#[tokio::test]
async fn a_damaged_record_is_told_and_keeps_no_other_out() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, acme) = (Switched::new(), TenantId::new());
    let mut bytes = three_left(&sink, directory.path(), acme).await;
    let place = bytes
        .windows(8)
        .position(|text| text == br#""id":"2""#)
        .unwrap();
    bytes[place + 6] = b'3';
    fs::write(&files(directory.path(), "0")[0], &bytes).unwrap();

    let spool = reopened(&sink, directory.path()).await;
    spool.close(LIMIT).await.unwrap();
    assert_eq!(sink.tokens(acme).await, (5, 2));
    let status = spool.status();
    assert_eq!((status.counted, status.damaged), (2, 1));
    let kept = files(directory.path(), "");
    assert_eq!(kept, files(directory.path(), "damaged-"));
    assert_eq!(fs::read(&kept[0]).unwrap(), bytes);
    assert_eq!(status.disk_bytes, bytes.len() as u64);
    drop(spool);

    // It is not read again, and no file gets its name.
    let spool = reopened(&sink, directory.path()).await;
    spool.record(tokens(acme, 8)).unwrap();
    spool.close(LIMIT).await.unwrap();
    assert_eq!(spool.status().damaged, 0);
    assert_eq!(sink.tokens(acme).await, (13, 3));
    assert_eq!(files(directory.path(), ""), kept);
}

/// As a crash leaves it: without an end, and with a record that was being written.
#[tokio::test]
async fn a_torn_end_is_cut_and_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, acme) = (Switched::new(), TenantId::new());
    let bytes = three_left(&sink, directory.path(), acme).await;
    fs::write(&files(directory.path(), "0")[0], &bytes[..bytes.len() - 20]).unwrap();
    let spool = reopened(&sink, directory.path()).await;
    spool.close(LIMIT).await.unwrap();
    assert_eq!(sink.tokens(acme).await, (3, 2));
    assert_eq!(spool.status().damaged, 0);
    assert!(files(directory.path(), "").is_empty());
}

/// One that a newer release has written is for that release to read.
#[tokio::test]
async fn a_file_of_another_format_is_kept_and_holds_nothing_up() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, acme) = (Switched::new(), TenantId::new());
    let mut bytes = three_left(&sink, directory.path(), acme).await;
    let file = files(directory.path(), "0").remove(0);
    fs::copy(&file, directory.path().join("00000000000000000009.usage")).unwrap();
    bytes[..16].copy_from_slice(b"tenancy-usage-2\n");
    fs::write(&file, &bytes).unwrap();
    let spool = reopened(&sink, directory.path()).await;
    spool.close(LIMIT).await.unwrap();
    assert_eq!(sink.tokens(acme).await, (7, 3));
    assert_eq!(spool.status().damaged, 1);
    // Under its own name, by which that release finds it.
    assert_eq!(fs::read(&file).unwrap(), bytes);
    assert!(files(directory.path(), "damaged-").is_empty());
}

//! A billing system that is a file.

use std::{fs, io::Write as _};

use tenancy_core::{TenantId, Timestamp, quota::Window};
use tenancy_usage::{
    Rollup,
    billing::{
        BillingErrorKind, BillingProvider as _, Customer, CustomerId, FileBilling, ReportOutcome,
        UsageReport,
    },
};

fn report(id: &str, quantity: i64) -> UsageReport {
    let at = Timestamp::from_unix_seconds(1_800_000_000);
    UsageReport::new(CustomerId::new("acme"), "tokens", quantity, at, id)
}

#[tokio::test]
async fn a_report_is_written_once_also_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usage.jsonl");
    let batch = [report("1", 10), report("2", 20), report("1", 10)];
    let outcomes = FileBilling::new(&path).report_usage(&batch).await.unwrap();
    let (taken, again) = (ReportOutcome::Taken, ReportOutcome::AlreadyTaken);
    assert_eq!(outcomes, [taken.clone(), taken.clone(), again.clone()]);
    let next = FileBilling::new(&path);
    let outcomes = next
        .report_usage(&[report("2", 20), report("3", 30)])
        .await
        .unwrap();
    assert_eq!(outcomes, [again, taken]);
    let customer = next
        .upsert_customer(&Customer::new(TenantId::new(), "Acme"))
        .await
        .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: Vec<_> = lines
        .iter()
        .filter_map(|line| line["id"].as_str())
        .collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(
        (&lines[0]["quantity"], &lines[0]["at"]),
        (&"10".into(), &"2027-01-15T08:00:00.000000Z".into())
    );
    assert_eq!(lines[3]["tenant"], customer.as_str());
}

/// Nothing is lost silently: another quantity under an id is refused, in one batch and by the next process.
#[tokio::test]
async fn another_report_under_an_id_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usage.jsonl");
    for taken in [ReportOutcome::Taken, ReportOutcome::AlreadyTaken] {
        let billing = FileBilling::new(&path);
        let outcomes = billing
            .report_usage(&[report("a", 5), report("a", 7)])
            .await;
        let outcomes = outcomes.unwrap();
        assert_eq!(outcomes[0], taken);
        assert!(
            matches!(&outcomes[1], ReportOutcome::Refused(why) if why.contains("under the id `a`, of 5")),
            "{outcomes:?}"
        );
    }
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn a_line_that_was_cut_off_is_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usage.jsonl");
    drop(
        FileBilling::new(&path)
            .report_usage(&[report("1", 10), report("2", 20)])
            .await
            .unwrap(),
    );
    let whole = fs::read(&path).unwrap();
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // A crash leaves a beginning of the second line, of any length.
    for length in second..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let outcomes = FileBilling::new(&path)
            .report_usage(&[report("1", 10), report("2", 20)])
            .await;
        assert_eq!(
            outcomes.unwrap(),
            [ReportOutcome::AlreadyTaken, ReportOutcome::Taken]
        );
        assert_eq!(fs::read(&path).unwrap(), whole, "cut off at {length}");
    }
}

#[tokio::test]
async fn a_file_that_can_not_be_written_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let billing = FileBilling::new(folder.path().join("missing").join("usage.jsonl"));
    let error = billing.report_usage(&[report("1", 10)]).await.unwrap_err();
    assert_eq!(error.kind(), BillingErrorKind::Unavailable);
    fs::create_dir(folder.path().join("missing")).unwrap();
    let outcomes = billing.report_usage(&[report("1", 10)]).await.unwrap();
    assert_eq!(outcomes, [ReportOutcome::Taken]);
    // What else is in the file stays.
    let path = folder.path().join("missing").join("usage.jsonl");
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"not JSON\n").unwrap();
    drop(
        FileBilling::new(&path)
            .report_usage(&[report("2", 1)])
            .await
            .unwrap(),
    );
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
}

#[test]
fn the_id_of_a_rollup_is_that_of_its_window_and_part() {
    let window = Window::new(Timestamp::EPOCH, Timestamp::from_unix_seconds(86_400));
    let tenant = TenantId::new();
    let rollup = |quantity: i64| Rollup::new(tenant, "tokens", window, quantity, 1);
    let id = |rollup: &Rollup, part| UsageReport::of(CustomerId::new("acme"), rollup, part).id;
    let first = id(&rollup(1), 0);
    assert_eq!(first, id(&rollup(2), 0));
    assert!(first.len() <= 100, "Stripe takes no longer one");
    let next = Window::new(
        window.end,
        window.end + std::time::Duration::from_secs(86_400),
    );
    for other in [
        id(&rollup(1), 1),
        id(
            &Rollup {
                tenant: TenantId::new(),
                ..rollup(1)
            },
            0,
        ),
        id(
            &Rollup {
                meter: "requests".into(),
                ..rollup(1)
            },
            0,
        ),
        id(
            &Rollup {
                window: next,
                ..rollup(1)
            },
            0,
        ),
        id(&rollup(1).dimension("model", "large"), 0),
    ] {
        assert_ne!(first, other);
    }
    let report = UsageReport::of(CustomerId::new("acme"), &rollup(1), 0);
    assert_eq!(report.at, Timestamp::from_unix_seconds(86_399));
}

//! Sinks that are slow, full, dead or come back.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::statement_log::testing::a_record;

/// A sink that says when it has a record, and waits until it may go on.
struct Slow {
    has_one: Sender<StatementRecord>,
    may_go_on: Mutex<Receiver<()>>,
}

impl StatementSink for Slow {
    fn record(
        &self,
        record: &StatementRecord,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.has_one.send(record.clone())?;
        Ok(self.may_go_on.lock().unwrap().recv()?)
    }
}

fn slow(most: usize) -> (Lane, Receiver<StatementRecord>, Sender<()>) {
    let ((has_one, records), (go_on, may_go_on)) = (channel(), channel());
    let sink = Slow {
        has_one,
        may_go_on: Mutex::new(may_go_on),
    };
    let lane = Lane::start("slow".to_owned(), most, Box::new(sink)).unwrap();
    (lane, records, go_on)
}

fn of(tenant: Option<TenantId>, is_flagged: bool) -> Arc<StatementRecord> {
    let mut record = a_record();
    record.tenant = tenant;
    record.outside = is_flagged;
    Arc::new(record)
}

#[test]
fn a_sink_that_does_not_keep_up_loses_what_there_is_no_room_for_and_goes_on_afterwards() {
    let (lane, records, go_on) = slow(8);
    lane.push(&of(None, false));
    // It is in the sink, and no longer in the queue.
    records.recv().unwrap();
    for _ in 0..20 {
        lane.push(&of(Some(TenantId::new()), false));
    }
    let stats = lane.stats();
    assert_eq!((stats.waiting, stats.dropped, stats.taken), (8, 12, 0));
    for _ in 0..8 {
        go_on.send(()).unwrap();
        records.recv().unwrap();
    }
    let last = of(Some(TenantId::new()), false);
    lane.push(&last);
    go_on.send(()).unwrap();
    assert_eq!(records.recv().unwrap().tenant, last.tenant);
}

#[test]
fn one_tenant_fills_a_quarter_and_flagged_records_have_room_of_their_own() {
    let (lane, records, go_on) = slow(8);
    lane.push(&of(None, false));
    records.recv().unwrap();
    let (acme, globex) = (Some(TenantId::new()), Some(TenantId::new()));
    for _ in 0..100 {
        lane.push(&of(acme, false));
    }
    assert_eq!(lane.stats().waiting, 2);
    lane.push(&of(globex, false));
    for _ in 0..10 {
        lane.push(&of(Some(TenantId::new()), false));
    }
    lane.push(&of(globex, true));
    let stats = lane.stats();
    assert_eq!((stats.waiting, stats.dropped), (9, 98 + 5));

    // What is flagged goes first.
    let order: Vec<_> = (0..4)
        .map(|_| {
            go_on.send(()).unwrap();
            records.recv().unwrap().tenant
        })
        .collect();
    assert_eq!(order, [globex, acme, acme, globex]);
}

#[tokio::test]
async fn a_sink_that_fails_or_panics_loses_that_record_and_no_other() {
    struct Moody(Mutex<u32>);
    impl StatementSink for Moody {
        fn record(
            &self,
            _record: &StatementRecord,
        ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            let mut number = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *number += 1;
            match *number {
                1 => Err("away".into()),
                2 => panic!("a defect of the sink"),
                _ => Ok(()),
            }
        }
    }
    let lane = Lane::start("moody".to_owned(), 100, Box::new(Moody(Mutex::new(0)))).unwrap();
    for _ in 0..5 {
        lane.push(&of(Some(TenantId::new()), false));
    }
    lane.flush().await;
    let stats = lane.stats();
    assert_eq!((stats.failed, stats.taken, stats.dropped), (2, 3, 0));
}

/// What waits is handed over when the log goes, as long as the process is there.
#[test]
fn what_waits_is_handed_over_when_the_log_is_dropped() {
    let (lane, records, go_on) = slow(100);
    for _ in 0..3 {
        lane.push(&of(Some(TenantId::new()), false));
    }
    drop(lane);
    for _ in 0..3 {
        records.recv().unwrap();
        go_on.send(()).unwrap();
    }
    // The thread has ended, and its sink with it.
    assert!(records.recv().is_err());
}

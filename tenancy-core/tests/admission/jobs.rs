//! Jobs: the service itself in one tenant after the other, with one entry for the run.

use std::sync::Mutex;

use tenancy_core::{
    Actor, EachTenantReport, RefusalKind, StoreErrorKind, TenantContext, TenantId, TenantRecord,
    TenantStatus,
    testing::{StoreDirectly as _, service},
};

use crate::support::World;

/// A world with so many more tenants, all active.
async fn crowd(more: usize) -> (World, Vec<TenantId>) {
    let w = World::new().await;
    let mut ids = vec![w.acme.id, w.globex.id];
    for number in 0..more {
        let slug = format!("tenant-{number}").parse().unwrap();
        let tenant = TenantRecord::new(slug, "One of many").with_status(TenantStatus::Active);
        w.directory.create_tenant(&tenant).await.unwrap();
        ids.push(tenant.id);
    }
    ids.sort();
    (w, ids)
}

#[tokio::test]
async fn a_run_enters_tenants_with_one_entry() {
    let (w, ids) = crowd(20).await;
    let before = w.audit.entries().len();
    let run = w.tenancy.begin_job("billing", "nightly bills").unwrap();
    for id in &ids {
        let context = run.enter(*id).await.unwrap();
        assert_eq!(context.tenant_id(), *id);
        assert_eq!(context.principal().actor.to_string(), "job:billing");
        context.require("notes:write").unwrap();
    }
    let entries = w.audit.entries();
    assert_eq!(entries.len(), before + 1);
    let entry = w.last_audit();
    assert_eq!(&*entry.action, "job.begin");
    assert_eq!(entry.actor, Some(Actor::Job("billing".parse().unwrap())));
    assert_eq!(entry.reason.as_deref(), Some("nightly bills"));
    assert_eq!(entry.credential.as_deref(), Some("job:billing"));

    // What it changes has an entry of its own, which says who.
    let admin = w.tenancy.admin(run.authority());
    admin.suspend(w.acme.id).await.unwrap();
    let entry = w.last_audit();
    assert_eq!(&*entry.action, "tenant.set-status");
    assert_eq!(entry.actor, Some(Actor::Job("billing".parse().unwrap())));
    assert_eq!(entry.reason.as_deref(), Some("nightly bills"));
    let refused = run.enter(w.acme.id).await.unwrap_err();
    assert_eq!(refused.kind(), RefusalKind::TenantSuspended);
}

#[tokio::test]
async fn a_job_without_a_name_or_a_reason_does_not_begin() {
    let w = World::new().await;
    let before = w.audit.entries().len();
    for (name, reason, said) in [
        ("Mail Worker", "sends mail", "`Mail Worker` is no name"),
        ("", "sends mail", "no name"),
        ("-mail", "sends mail", "no name"),
        ("mail", " \n", "needs a reason"),
    ] {
        let refused = w.tenancy.begin_job(name, reason).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid);
        assert!(refused.to_string().contains(said), "{refused}");
    }
    assert_eq!(w.audit.entries().len(), before);
}

/// What was done where, in no order.
#[derive(Default)]
struct Done(Mutex<Vec<TenantId>>);

impl Done {
    fn add(&self, context: &TenantContext) {
        self.0.lock().unwrap().push(context.tenant_id());
    }

    fn sorted(&self) -> Vec<TenantId> {
        let mut done = self.0.lock().unwrap().clone();
        done.sort();
        done
    }
}

#[tokio::test]
async fn each_tenant_that_is_served_is_visited_once_and_failures_stop_nobody() {
    let (w, ids) = crowd(100).await;
    let admin = w.tenancy.admin(service());
    let (suspended, failing) = (ids[10], ids[40]);
    admin.suspend(suspended).await.unwrap();
    let run = w.tenancy.begin_job("billing", "nightly bills").unwrap();
    let done = Done::default();
    let work = async |context: TenantContext| {
        if context.tenant_id() == failing {
            return Err("no address");
        }
        done.add(&context);
        Ok(())
    };
    let report = run.each_tenant().concurrency(2).run(work).await.unwrap();
    let expected: Vec<_> = (ids.iter().copied())
        .filter(|id| ![suspended, failing].contains(id))
        .collect();
    assert_eq!(done.sorted(), expected);
    assert_eq!((report.done, report.skipped, report.failures), (100, 1, 1));
    assert_eq!(report.failed, [(failing, "no address")]);
    assert_eq!(report.position, ids.last().copied());
}

#[tokio::test]
async fn a_run_goes_on_where_the_one_before_was_cut_off() {
    let (w, ids) = crowd(100).await;
    let run = w.tenancy.begin_job("billing", "nightly bills").unwrap();
    let position = Mutex::new(None);
    let done = Done::default();
    let keep = |report: &EachTenantReport<()>| *position.lock().unwrap() = report.position;
    let cut_off =
        run.each_tenant()
            .concurrency(1)
            .on_progress(keep)
            .run(async |context: TenantContext| {
                if context.tenant_id() == ids[60] {
                    w.directory.fail(true);
                }
                done.add(&context);
                Ok::<_, ()>(())
            });
    let error = cut_off.await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    w.directory.fail(false);
    let kept = position.lock().unwrap().take();
    let at = ids.iter().position(|id| Some(*id) == kept).unwrap();
    assert!((44..60).contains(&at), "{at}");

    let again = Done::default();
    let rest = run
        .each_tenant()
        .after(kept)
        .run(async |context: TenantContext| {
            again.add(&context);
            Ok::<_, ()>(())
        });
    let report = rest.await.unwrap();
    assert_eq!(again.sorted(), ids[at + 1..]);
    assert_eq!(report.position, ids.last().copied());
    assert_eq!(done.sorted()[..=at], ids[..=at]);
}

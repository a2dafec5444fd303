//! Reading the audit trail: page by page, exported, and as it grows; and what each reading leaves in it.

mod exporting;
mod shutting_down;
mod tailing;

use tenancy_core::{
    Admin, AuditEntry, AuditFilter, AuditSink as _, Clock as _, Outcome, StoreErrorKind, TenantId,
    danger, testing::service,
};
use uuid::Uuid;

use crate::support::World;

/// Alice, who may read the trail of Acme.
pub(crate) async fn alices(w: &World) -> Admin {
    let context = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    w.tenancy.admin(context.authority("notes:read").unwrap())
}

/// Puts so many entries into a tenant's trail, and returns them, oldest first.
pub(crate) fn recorded(w: &World, tenant: TenantId, count: usize) -> Vec<AuditEntry> {
    let made = || AuditEntry::new(w.clock.now(), "note.share", Outcome::Allowed).tenant(tenant);
    let entries: Vec<_> = (0..count).map(|_| made()).collect();
    for entry in &entries {
        w.directory.directory().record(entry.clone());
    }
    entries
}

/// What readings have left in the trail.
pub(crate) fn readings(w: &World) -> Vec<AuditEntry> {
    let mut entries = w.audit.entries();
    entries.retain(|entry| entry.action == "trail.read");
    entries
}

fn told(entry: &AuditEntry, name: &str) -> serde_json::Value {
    entry.details.as_ref().unwrap()[name].clone()
}

async fn page(
    admin: &Admin,
    tenant: TenantId,
    filter: &AuditFilter,
    after: Option<Uuid>,
) -> Vec<AuditEntry> {
    let listed = admin.list_entries(Some(tenant), filter, after, 10).await;
    listed.unwrap()
}

#[tokio::test]
async fn a_listing_is_one_entry_and_a_page_that_goes_on_is_none() {
    let w = World::new().await;
    recorded(&w, w.acme.id, 25);
    let admin = alices(&w).await;
    let shares = AuditFilter::new().action("note.share");
    let (mut after, mut all) = (None, 0);
    loop {
        let listed = page(&admin, w.acme.id, &shares, after).await;
        let Some(last) = listed.last() else { break };
        after = Some(last.id);
        all += listed.len();
    }
    assert_eq!(all, 25);
    let left = readings(&w);
    assert_eq!(left.len(), 1, "{left:?}");
    let entry = &left[0];
    assert_eq!(
        (entry.tenant, entry.outcome),
        (Some(w.acme.id), Outcome::Allowed)
    );
    assert_eq!(entry.actor, Some(tenancy_core::Actor::User(w.alice)));
    assert_eq!(told(entry, "how"), "list");
    assert_eq!(
        told(entry, "filter"),
        serde_json::json!({ "action": "note.share" })
    );
}

/// Nobody reads unrecorded by making up a place to go on from, or by going on with another question.
#[tokio::test]
async fn a_page_behind_a_place_that_nobody_was_told_is_a_reading_of_its_own() {
    let w = World::new().await;
    recorded(&w, w.acme.id, 25);
    let admin = alices(&w).await;
    let (all, shares) = (AuditFilter::new(), AuditFilter::new().action("note.share"));
    let listed = page(&admin, w.acme.id, &all, Some(Uuid::max())).await;
    assert_eq!(listed.len(), 10);
    assert_eq!(readings(&w).len(), 1);
    let last = listed.last().unwrap().id;
    page(&admin, w.acme.id, &all, Some(last)).await;
    assert_eq!(readings(&w).len(), 1, "it goes on");
    page(&admin, w.acme.id, &shares, Some(last)).await;
    assert_eq!(readings(&w).len(), 2, "that is another question");
    let service = w.tenancy.admin(service());
    page(&service, w.acme.id, &all, Some(last)).await;
    assert_eq!(readings(&w).len(), 3, "and somebody else");
}

#[tokio::test]
async fn what_is_refused_is_recorded_and_reads_nothing() {
    let w = World::new().await;
    recorded(&w, w.globex.id, 3);
    let all = AuditFilter::new();
    let service = w.tenancy.admin(service());
    assert!(!page(&service, w.globex.id, &all, None).await.is_empty());
    let admin = alices(&w).await;
    for others in [Some(w.globex.id), None] {
        let refused = admin
            .list_entries(others, &all, None, 10)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
        let entry = readings(&w).pop().unwrap();
        assert_eq!((entry.outcome, entry.tenant), (Outcome::Refused, others));
        assert_eq!(entry.actor, Some(tenancy_core::Actor::User(w.alice)));
        assert!(entry.reason.is_some());
    }
}

/// What an operator lists is recorded as such, and not twice.
#[tokio::test]
async fn an_operators_listing_is_recorded_once() {
    let w = World::new().await;
    recorded(&w, w.acme.id, 3);
    let all = AuditFilter::new();
    let mia = tenancy_core::Principal::new(
        tenancy_core::Actor::User(tenancy_core::UserId::new()),
        tenancy_core::AllowedTenants::Memberships,
        "staff",
    );
    let authority = || danger::operator(&mia, None, "ticket 4711").unwrap();
    let admin = w.tenancy.admin(authority());
    admin.list_entries(None, &all, None, 10).await.unwrap();
    let actions: Vec<_> = w
        .audit
        .entries()
        .iter()
        .map(|entry| entry.action.to_string())
        .collect();
    assert_eq!(actions, ["operator.list"]);
    // Of one tenant no listing is recorded, so that the reading is.
    page(&admin, w.acme.id, &all, None).await;
    let entry = readings(&w).pop().unwrap();
    assert_eq!(entry.reason.as_deref(), Some("ticket 4711"));
    assert_eq!(w.audit.entries().len(), 2);
}

#[tokio::test]
async fn a_page_that_polls_does_not_fill_the_trail() {
    let w = World::new().await;
    recorded(&w, w.acme.id, 3);
    let admin = alices(&w).await;
    let all = AuditFilter::new();
    for _ in 0..200 {
        page(&admin, w.acme.id, &all, None).await;
    }
    assert_eq!(readings(&w).len(), 10);
    w.clock.advance(std::time::Duration::from_secs(60));
    page(&admin, w.acme.id, &all, None).await;
    assert_eq!(readings(&w).pop().unwrap().suppressed, 190);
}

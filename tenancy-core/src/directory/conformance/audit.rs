//! The audit trail: what is recorded with a change and by a sink, listed together.

use uuid::Uuid;

use super::{new_tenant, role};
use crate::{
    Actor, AuditDirectory, AuditEntry, AuditFilter, AuditSink, Clock as _, Directory,
    DirectoryStore, KeyId, Membership, Outcome, RoleSeen, ServiceId, SystemClock, TenantId, UserId,
    testing::unattributed,
};

/// Runs all that concerns the trail, of a directory and a sink that write into the same one.
pub async fn audit<D, S>(directory: &D, sink: &S)
where
    D: Directory + DirectoryStore + AuditDirectory,
    S: AuditSink,
{
    entries_are_listed_as_they_were_recorded(directory, sink).await;
    a_change_that_a_sink_is_told_of_is_one_entry(directory, sink).await;
    entries_are_listed_in_pages_the_newest_first(directory, sink).await;
    entries_are_listed_by_action_actor_outcome_and_time(directory, sink).await;
}

async fn listed<D: AuditDirectory>(
    directory: &D,
    tenant: TenantId,
    filter: &AuditFilter,
) -> Vec<AuditEntry> {
    let listed = directory
        .list_entries(Some(tenant), filter, None, 1_000)
        .await;
    listed.unwrap()
}

fn entry(action: &'static str) -> AuditEntry {
    AuditEntry::new(SystemClock.now(), action, Outcome::Allowed)
}

/// An entry says what was recorded, with every field.
pub async fn entries_are_listed_as_they_were_recorded<D, S>(directory: &D, sink: &S)
where
    D: Directory + DirectoryStore + AuditDirectory,
    S: AuditSink,
{
    let tenant = new_tenant(directory).await;
    let mut full = entry("note.share")
        .tenant(tenant.id)
        .actor(Actor::Key(KeyId::new()))
        .reason("Fände & Söhne '\"; --")
        .about("note", 4711)
        .about("user", UserId::new())
        .details(serde_json::json!({ "with": ["bob", null, 1.5] }));
    full.on_behalf_of = Some(UserId::new());
    full.credential = Some("https://login.example".into());
    full.outcome = Outcome::Refused;
    full.ip = Some("2001:db8::7".parse().unwrap());
    full.user_agent = Some("curl/8".into());
    full.request_id = Some("req-7".into());
    full.suppressed = 12;
    let nothing = entry("login").tenant(tenant.id);
    let text = entry("request.admit")
        .tenant(tenant.id)
        .target("host:acme:8080");
    let mut expected = vec![full, nothing, text];
    for entry in &expected {
        sink.record_durably(entry.clone()).await.unwrap();
        // A retry may follow an answer that got lost.
        sink.record_durably(entry.clone()).await.unwrap();
    }
    for entry in &mut expected {
        entry.targets = entry.typed_targets().into_owned();
        entry.target = None;
    }
    expected.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    let is_ours = |entry: &AuditEntry| entry.action != unattributed().entry.action;
    let mut found = listed(directory, tenant.id, &AuditFilter::new()).await;
    found.retain(is_ours);
    assert_eq!(found, expected);
}

/// What the store has written with a change, a sink adds no second time.
pub async fn a_change_that_a_sink_is_told_of_is_one_entry<D, S>(directory: &D, sink: &S)
where
    D: Directory + DirectoryStore + AuditDirectory,
    S: AuditSink,
{
    let tenant = new_tenant(directory).await;
    let member = Membership::new(tenant.id, UserId::new(), role("viewer"));
    let mut record = unattributed();
    record.entry.tenant = Some(tenant.id);
    record.entry.action = "membership.put".into();
    record.entry = record.entry.about("user", member.user);
    let seen = RoleSeen::Any;
    directory
        .put_membership(&member, &seen, &record)
        .await
        .unwrap();
    let mut told = record.entry.clone();
    // Whoever gave up on the answer does not know that it was done.
    told.outcome = Outcome::Failed;
    sink.record_durably(told).await.unwrap();
    let puts = AuditFilter::new().action("membership.put");
    assert_eq!(
        listed(directory, tenant.id, &puts).await,
        [record.entry.clone()]
    );

    // One that was not made is the sink's alone.
    let failed = entry("membership.put").tenant(tenant.id);
    sink.record_durably(failed.clone()).await.unwrap();
    let mut both = vec![record.entry, failed];
    both.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    assert_eq!(listed(directory, tenant.id, &puts).await, both);
}

/// A tenant's pages have its entries, each once, the newest first; the pages of all have everybody's.
pub async fn entries_are_listed_in_pages_the_newest_first<D, S>(directory: &D, sink: &S)
where
    D: Directory + DirectoryStore + AuditDirectory,
    S: AuditSink,
{
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let mark = format!("page.{}", one.id.as_uuid().simple());
    let filter = AuditFilter::new().action(mark.clone());
    let new = |tenant: Option<TenantId>| {
        let mut entry = AuditEntry::new(SystemClock.now(), mark.clone(), Outcome::Allowed);
        entry.tenant = tenant;
        entry
    };
    let (mut own, mut all) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        for tenant in [Some(one.id), Some(other.id), None] {
            let entry = new(tenant);
            sink.record_durably(entry.clone()).await.unwrap();
            all.push(entry.id);
            if tenant == Some(one.id) {
                own.push(entry.id);
            }
        }
    }
    for (tenant, mut expected) in [(Some(one.id), own), (None, all)] {
        expected.sort_by_key(|id| std::cmp::Reverse(*id));
        let mut found: Vec<Uuid> = Vec::new();
        loop {
            let after = found.last().copied();
            let page = directory.list_entries(tenant, &filter, after, 3).await;
            let page = page.unwrap();
            assert!(page.len() <= 3);
            if page.is_empty() {
                break;
            }
            found.extend(page.iter().map(|entry| entry.id));
        }
        assert_eq!(found, expected);
    }
    let nobodys = listed(directory, TenantId::new(), &AuditFilter::new()).await;
    assert_eq!(nobodys, []);
}

/// What a filter says has to hold together.
pub async fn entries_are_listed_by_action_actor_outcome_and_time<D, S>(directory: &D, sink: &S)
where
    D: Directory + DirectoryStore + AuditDirectory,
    S: AuditSink,
{
    let tenant = new_tenant(directory).await;
    let second = std::time::Duration::from_secs(1);
    let start = SystemClock.now();
    let user = UserId::new();
    // The same id in another kind of actor is somebody else.
    let namesake = Actor::Service(ServiceId::from_uuid(user.as_uuid()));
    let actors = [
        Some(Actor::User(user)),
        Some(namesake.clone()),
        Some(Actor::System),
        Some(Actor::Anonymous),
        None,
    ];
    let outcomes = [Outcome::Allowed, Outcome::Refused, Outcome::Failed];
    let mut entries = Vec::new();
    for number in 0..30_u32 {
        let at = start + second * number;
        let place = usize::try_from(number).unwrap();
        let action = if number % 2 == 0 { "a.even" } else { "a.odd" };
        let mut entry = AuditEntry::new(at, action, outcomes[place % 3]).tenant(tenant.id);
        entry.actor.clone_from(&actors[place % 5]);
        sink.record_durably(entry.clone()).await.unwrap();
        entries.push(entry);
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    // Not those of what was done before.
    let all = AuditFilter::new().from(start);
    let filters = [
        (all.clone().action("a.even"), 15),
        (all.clone().action("a"), 0),
        (all.clone().actor(Actor::User(user)), 6),
        (all.clone().actor(namesake), 6),
        (all.clone().actor(Actor::System), 6),
        (all.clone().actor(Actor::User(UserId::new())), 0),
        (all.clone().outcome(Outcome::Refused), 10),
        (all.clone().action("a.odd").from(start + second * 20), 5),
        (all.clone().action("a.odd").until(start + second * 20), 10),
        (
            all.clone()
                .action("a.even")
                .outcome(Outcome::Allowed)
                .from(start + second)
                .until(start + second * 12),
            1,
        ),
    ];
    for (filter, count) in filters {
        let mut expected = entries.clone();
        expected.retain(|entry| filter.matches(entry));
        assert_eq!(expected.len(), count, "{filter:?}");
        let found = listed(directory, tenant.id, &filter).await;
        assert_eq!(found, expected, "{filter:?}");
    }
}

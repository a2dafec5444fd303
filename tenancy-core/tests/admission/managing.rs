//! Managing tenants: what was removed or renamed ends at once, roles that could not be understood are not stored,
//! and nobody lists what is not theirs.

use std::time::Duration;

use serde_json::{Value, json};
use tenancy_core::{
    Admin, Authority, DomainName, MemberFilter, Membership, Outcome, Project, ProjectMembership,
    RoleDefinition, RoleName, Slug, StoreError, StoreErrorKind, SystemRole, TenantDirectory as _,
    TenantFilter, TenantRecord, TenantStatus, UserId,
    outbox::{ClaimRequest, Outbox as _, Start},
    testing::{StoreDirectly as _, service},
};

use crate::{
    keys::{self, alices, issue, with},
    support::{World, answer},
};

const HOST: &str = "acme.notes.example";
const NEW_HOST: &str = "acme-and-daughters.notes.example";

fn admin(w: &World) -> Admin {
    w.tenancy.admin(service())
}

fn name(text: &str) -> RoleName {
    text.parse().unwrap()
}

/// The authority of alice, who is acme's owner.
async fn own(w: &World) -> Authority {
    let context = w.admit(&w.alice_at(HOST)).await.unwrap();
    context.authority("notes:write").unwrap()
}

#[tokio::test]
async fn a_slug_that_was_replaced_names_nobody_from_then_on() {
    let w = World::new().await;
    w.admit(&w.alice_at(HOST)).await.unwrap();
    // That this one is nobody's is remembered too.
    assert_eq!(w.refused(&w.alice_at(NEW_HOST)).await.0, 404);
    let new = "acme-and-daughters".parse().unwrap();
    admin(&w).set_slug(w.acme.id, &new).await.unwrap();
    let context = w.admit(&w.alice_at(NEW_HOST)).await.unwrap();
    assert_eq!(
        (context.tenant_id(), &context.record().slug),
        (w.acme.id, &new)
    );
    assert_eq!(w.refused(&w.alice_at(HOST)).await.0, 404);
    // Another tenant takes the old one when it has rested, and its members are at home there.
    let globex = &w.globex;
    w.clock.advance(Slug::REST - Duration::from_micros(1));
    let rests = admin(&w).set_slug(globex.id, &w.acme.slug).await;
    assert_eq!(rests.unwrap_err().kind(), StoreErrorKind::Conflict);
    w.clock.advance(Duration::from_micros(1));
    admin(&w).set_slug(globex.id, &w.acme.slug).await.unwrap();
    assert_eq!(answer(w.admit(&w.alice_at(HOST)).await).0, 404);
    let member = Membership::new(globex.id, w.alice, SystemRole::Viewer.name());
    admin(&w).put_membership(&member).await.unwrap();
    let context = w.admit(&w.alice_at(HOST)).await.unwrap();
    assert_eq!(context.tenant_id(), globex.id);
}

#[tokio::test]
async fn a_name_that_was_unbound_names_nobody_from_then_on() {
    let w = World::new().await;
    let domain: DomainName = "notes.acme.test".parse().unwrap();
    admin(&w).bind_domain(w.acme.id, &domain).await.unwrap();
    let request = w.alice_at(domain.as_str());
    assert_eq!(w.admit(&request).await.unwrap().tenant_id(), w.acme.id);
    admin(&w).unbind_domain(w.globex.id, &domain).await.unwrap();
    assert!(w.admit(&request).await.is_ok(), "it is not globex's");
    admin(&w).unbind_domain(w.acme.id, &domain).await.unwrap();
    let (status, _) = w.refused(&request).await;
    assert!((400..500).contains(&status), "{status}");
}

#[tokio::test]
async fn a_project_ends_with_its_roles_and_its_keys() {
    let w = keys::world().await;
    let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    let project = Project::new(w.acme.id, "roadmap".parse().unwrap(), "Roadmap");
    let other = Project::new(w.acme.id, "other".parse().unwrap(), "Other");
    for project in [&project, &other] {
        admin(&w).put_project(project).await.unwrap();
    }
    let confined = issue(&w, alices(&w).project(project.id)).await;
    let elsewhere = issue(&w, alices(&w).project(other.id)).await;
    let free = issue(&w, alices(&w)).await;
    admin(&w).put_membership(&viewer).await.unwrap();
    let writer = ProjectMembership::new(w.acme.id, project.id, w.alice, name("member"));
    admin(&w).put_project_membership(&writer).await.unwrap();
    let inside = w
        .alice_at(HOST)
        .header("x-project-id", project.id.to_string());
    let writes = async || {
        w.admit(&inside)
            .await
            .map(|c| c.require("notes:write").is_ok())
    };
    assert_eq!(writes().await.ok(), Some(true));
    admin(&w)
        .remove_project_membership(w.acme.id, project.id, w.alice)
        .await
        .unwrap();
    assert_eq!(writes().await.ok(), Some(false));
    admin(&w).put_project_membership(&writer).await.unwrap();
    for key in [&confined, &elsewhere, &free] {
        w.admit(&with(key)).await.unwrap();
    }

    admin(&w)
        .remove_project(w.acme.id, project.id)
        .await
        .unwrap();
    assert_eq!(answer(writes().await).0, 404);
    assert_eq!(w.refused(&with(&confined)).await, (401, "key-revoked"));
    for key in [&elsewhere, &free] {
        w.admit(&with(key)).await.unwrap();
    }
    // One that comes back under its id has neither.
    admin(&w).put_project(&project).await.unwrap();
    assert_eq!(writes().await.ok(), Some(false));
    assert_eq!(w.refused(&with(&confined)).await, (401, "key-revoked"));
}

#[tokio::test]
async fn who_has_a_role_that_was_removed_may_do_nothing() {
    let w = World::new().await;
    let writer = RoleDefinition::new(name("writer")).allow("notes:write");
    admin(&w).put_role(w.acme.id, &writer).await.unwrap();
    let member = Membership::new(w.acme.id, w.alice, writer.name.clone());
    admin(&w).put_membership(&member).await.unwrap();
    let may = async || {
        let context = w.admit(&w.alice_at(HOST)).await.unwrap();
        context.require("notes:write").is_ok()
    };
    assert!(may().await);
    admin(&w)
        .remove_role(w.acme.id, &writer.name)
        .await
        .unwrap();
    assert!(!may().await);
}

#[tokio::test]
async fn a_role_that_could_not_be_understood_is_not_stored() {
    let w = World::new().await;
    let own = RoleDefinition::new(name("writer")).allow("notes:write");
    let heir = RoleDefinition::new(name("heir")).include(name("writer"));
    let mut chain = vec![RoleDefinition::new(name("step-0"))];
    for step in 1..=9 {
        let before = name(&format!("step-{}", step - 1));
        chain.push(RoleDefinition::new(name(&format!("step-{step}"))).include(before));
    }
    for role in [&own, &heir].into_iter().chain(&chain) {
        admin(&w).put_role(w.acme.id, role).await.unwrap();
    }
    // Stored past the engine, by a version of its own.
    let broken = RoleDefinition::new(name("broken")).deny("not a grant");
    w.directory.put_role(w.acme.id, &broken).await.unwrap();
    let stored = w.directory.list_roles(w.acme.id).await.unwrap();
    let many = (0..300).fold(RoleDefinition::new(name("many")), |role, _| {
        role.allow("notes:read")
    });
    for (role, said) in [
        (RoleDefinition::new(name("owner")), "choose another name"),
        (
            RoleDefinition::new(name("a")).include(name("nobody")),
            "includes `nobody`, which is not defined",
        ),
        (
            RoleDefinition::new(name("a")).include(name("a")),
            "leads into a cycle",
        ),
        (
            RoleDefinition::new(name("writer")).include(name("heir")),
            "role `writer` leads into a cycle",
        ),
        (
            RoleDefinition::new(name("a")).deny("Notes and more"),
            "denies `Notes and more`, which is not a grant",
        ),
        (
            RoleDefinition::new(name("a")).include(name("broken")),
            "mend `broken`",
        ),
        (many, "lists more than"),
        (RoleDefinition::unreadable(name("a")), "can't be read"),
        // The one at hand would do, and another that includes it would not.
        (
            RoleDefinition::new(name("step-0")).include(name("heir")),
            "includes roles over more than",
        ),
    ] {
        let refused = admin(&w).put_role(w.acme.id, &role).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
        assert!(refused.to_string().contains(said), "{refused}");
        assert_eq!(w.last_audit().outcome, Outcome::Failed);
        assert_eq!(w.directory.list_roles(w.acme.id).await.unwrap(), stored);
    }
    // What only has no effect is stored, and so is what mends a role.
    let early = RoleDefinition::new(name("early")).allow("planned:read");
    admin(&w).put_role(w.acme.id, &early).await.unwrap();
    let mended = RoleDefinition::new(name("broken")).deny("notes:write");
    admin(&w).put_role(w.acme.id, &mended).await.unwrap();
}

#[tokio::test]
async fn a_role_that_others_include_is_not_removed() {
    let w = World::new().await;
    let base = RoleDefinition::new(name("base")).allow("notes:read");
    let heir = RoleDefinition::new(name("heir")).include(name("base"));
    for role in [&base, &heir] {
        admin(&w).put_role(w.acme.id, role).await.unwrap();
    }
    let kept = admin(&w)
        .remove_role(w.acme.id, &base.name)
        .await
        .unwrap_err();
    assert_eq!(kept.kind(), StoreErrorKind::Conflict);
    assert!(
        kept.to_string().contains("role `heir` includes `base`"),
        "{kept}"
    );
    for role in [&heir, &base] {
        admin(&w).remove_role(w.acme.id, &role.name).await.unwrap();
    }
    assert_eq!(w.directory.list_roles(w.acme.id).await.unwrap(), []);
    // Where one denies everything anyhow, it keeps nothing.
    let broken = RoleDefinition::unreadable(name("base"));
    for role in [&broken, &heir] {
        w.directory.put_role(w.acme.id, role).await.unwrap();
    }
    admin(&w).remove_role(w.acme.id, &base.name).await.unwrap();
}

#[tokio::test]
async fn each_removal_and_renaming_has_its_entry_and_its_event() {
    let w = World::new().await;
    let (acme, user) = (w.acme.id, UserId::new());
    let project = Project::new(acme, "roadmap".parse().unwrap(), "Roadmap");
    w.directory.put_project(&project).await.unwrap();
    let domain: DomainName = "notes.acme.test".parse().unwrap();
    let slug = "acme-2".parse().unwrap();
    let a = admin(&w);
    let outbox = w.directory.directory().outbox();
    let mut request = ClaimRequest::new("test".parse().unwrap());
    request.start = Start::Now;
    let claim = outbox.claim(&request).await.unwrap().unwrap();
    let (in_project, of_project) = (project.id, json!({ "project": project.id }));
    let done: [(Result<(), StoreError>, &str, &str, Value); 7] = [
        (
            a.rename(acme, "Acme & Daughters").await,
            "tenant.rename",
            "tenant.renamed",
            json!({ "tenant": acme, "name": "Acme & Daughters" }),
        ),
        (
            a.set_slug(acme, &slug).await,
            "tenant.set-slug",
            "tenant.slug-changed",
            json!({ "tenant": acme, "slug": "acme-2" }),
        ),
        (
            a.unbind_domain(acme, &domain).await,
            "tenant.unbind-domain",
            "tenant.domain-unbound",
            json!({ "domain": domain }),
        ),
        (
            a.unbind_external(acme, "crm", "7").await,
            "tenant.unbind-external",
            "tenant.external-id-unbound",
            json!({ "external_id": "7", "provider": "crm" }),
        ),
        (
            a.remove_project_membership(acme, in_project, user).await,
            "project-membership.remove",
            "project-membership.removed",
            json!({ "project": in_project, "user": user }),
        ),
        (
            a.remove_project(acme, in_project).await,
            "project.remove",
            "project.removed",
            of_project,
        ),
        (
            a.remove_role(acme, &name("writer")).await,
            "role.remove",
            "role.removed",
            json!({ "role": "writer" }),
        ),
    ];
    let events = outbox.next_page(&claim, 100).await.unwrap().new;
    let trail = outbox.trail();
    let entries = trail.iter().rev().take(done.len()).rev();
    assert_eq!(events.len(), done.len());
    for (((made, action, kind, payload), event), entry) in done.iter().zip(&events).zip(entries) {
        assert!(made.is_ok(), "{action}: {made:?}");
        assert_eq!((&*entry.action, entry.outcome), (*action, Outcome::Allowed));
        assert_eq!(entry.tenant, Some(acme));
        assert_eq!(
            (event.kind.as_str(), event.caused_by),
            (*kind, Some(entry.id))
        );
        assert_eq!((&event.payload, event.tenant), (payload, Some(acme)));
    }
}

#[tokio::test]
async fn a_callers_authority_lists_its_own_tenant_alone() {
    let w = World::new().await;
    let theirs = w.tenancy.admin(own(&w).await);
    let (all, own, globex) = (MemberFilter::new(), w.acme.id, w.globex.id);
    let project = Project::new(globex, "roadmap".parse().unwrap(), "Roadmap");
    w.directory.put_project(&project).await.unwrap();
    let members = theirs.list_members(own, &all, None, 10).await.unwrap();
    assert_eq!(members.len(), 2);
    assert!(members.iter().any(|member| member.user == w.alice));
    assert!(members.iter().all(|member| member.tenant == own));
    let refusals = [
        theirs.list_members(globex, &all, None, 10).await.err(),
        theirs.list_names(globex, None, 10).await.err(),
        theirs.list_projects(globex, None, 10).await.err(),
        theirs.list_roles(globex).await.err(),
        theirs
            .list_project_members(globex, project.id, None, 10)
            .await
            .err(),
        theirs
            .list_tenants(&TenantFilter::new(), None, 10)
            .await
            .err(),
        theirs.remove_project(globex, project.id).await.err(),
        theirs
            .set_slug(globex, &"mine".parse().unwrap())
            .await
            .err(),
    ];
    for refused in refusals {
        assert_eq!(refused.unwrap().kind(), StoreErrorKind::Forbidden);
    }
    // Who has left lists nothing, either.
    w.directory.remove_membership(own, w.alice).await.unwrap();
    w.tenancy.invalidate(own);
    let refused = theirs.list_members(own, &all, None, 10).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
}

#[tokio::test]
async fn a_page_holds_a_thousand_at_most() {
    let w = World::new().await;
    for _ in 0..1_001 {
        let member = Membership::new(w.acme.id, UserId::new(), SystemRole::Viewer.name());
        w.directory.put_membership(&member).await.unwrap();
    }
    let viewers = MemberFilter::new().role(SystemRole::Viewer);
    let list = async |after, limit| {
        let admin = admin(&w);
        let page = admin.list_members(w.acme.id, &viewers, after, limit);
        page.await.unwrap()
    };
    let page = list(None, u32::MAX).await;
    assert_eq!(page.len(), 1_000);
    assert_eq!(list(page.last().map(|m| m.user), u32::MAX).await.len(), 1);
    assert_eq!(list(None, 0).await.len(), 0);
    let active = TenantFilter::new().status(TenantStatus::Active);
    let tenants = admin(&w)
        .list_tenants(&active, None, u32::MAX)
        .await
        .unwrap();
    assert_eq!(tenants.len(), 2);
}

#[tokio::test]
async fn a_name_that_could_not_be_shown_in_a_line_is_refused_and_changes_nothing() {
    let w = World::new().await;
    let admin = admin(&w);
    let longest = "ü".repeat(200);
    for (name, taken) in [
        ("Acme & Daughters '\"; --", true),
        (&longest, true),
        (&format!("{longest}x"), false),
        ("", false),
        (" \u{3000}", false),
        ("Acme\nLtd", false),
        ("Acme\u{7}", false),
    ] {
        let kind = |done: Result<(), StoreError>| done.err().map(|error| error.kind());
        let wanted = (!taken).then_some(StoreErrorKind::Invalid);
        assert_eq!(
            kind(admin.rename(w.acme.id, name).await),
            wanted,
            "{name:?}"
        );
        let other = TenantRecord::new("other".parse().unwrap(), name);
        if !taken {
            assert_eq!(kind(admin.create_tenant(&other).await), wanted, "{name:?}");
        }
        let project = Project::new(w.acme.id, "roadmap".parse().unwrap(), name);
        if !taken {
            assert_eq!(kind(admin.put_project(&project).await), wanted, "{name:?}");
        }
    }
    let named = w.directory.find_tenant(&w.acme.id.into()).await.unwrap();
    assert_eq!(named.unwrap().name, longest);
}

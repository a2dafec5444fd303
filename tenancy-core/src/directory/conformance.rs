//! The conformance suite of directories: what [`Directory`] and [`DirectoryStore`] promise,
//! checked against any implementation. [`answers`] (with the feature `jwt`, since it makes tokens) checks
//! with one of them what an engine remembers.
//!
//! ```
//! use tenancy_core::{MemoryDirectory, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::directory(&MemoryDirectory::new()).await;
//! conformance::keys(&MemoryDirectory::new()).await;
//! conformance::ownership(&MemoryDirectory::new()).await;
//! conformance::domain_joins(&MemoryDirectory::new()).await;
//! conformance::invitations(&MemoryDirectory::new()).await;
//! conformance::invitations_by_keys(&MemoryDirectory::new()).await;
//! conformance::invitations_by_operators(&MemoryDirectory::new()).await;
//! conformance::issuers(&MemoryDirectory::new()).await;
//! conformance::plans(&MemoryDirectory::new()).await;
//! conformance::limit_overrides(&MemoryDirectory::new()).await;
//! conformance::operators(&MemoryDirectory::new()).await;
//! conformance::provisioning(&MemoryDirectory::new()).await;
//! conformance::accounts(&MemoryDirectory::new()).await;
//! // In memory, one value is the directory and the sink.
//! let trail = MemoryDirectory::new();
//! conformance::audit(&trail, &trail).await;
//! conformance::answers(&MemoryDirectory::new(), 1, 500).await;
//! # }
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a conformance suite fails by panicking, like any test"
)]

mod accounts;
#[cfg(feature = "jwt")]
mod answers;
mod audit;
mod callers;
mod domain_joins;
mod entries;
mod invitations;
mod issuers;
mod keys;
mod members;
mod names;
mod operators;
mod overrides;
mod owners;
mod plans;
mod projects;
mod provisioning;
mod roles;
mod tenants;
mod token_revocations;

pub use accounts::{
    a_hash_is_renewed_if_it_is_the_expected_one,
    a_reset_counts_for_its_address_until_it_is_replaced_or_expires, a_reset_is_used_once, accounts,
    accounts_are_found_as_they_were_stored, an_address_and_a_subject_are_one_accounts,
    changes_of_accounts_are_kept_and_take_tokens_back,
};
#[cfg(feature = "jwt")]
pub use answers::answers;
pub use audit::{
    a_change_that_a_sink_is_told_of_is_one_entry, audit, entries_are_listed_as_they_were_recorded,
    entries_are_listed_by_action_actor_outcome_and_time,
    entries_are_listed_in_pages_the_newest_first,
};
pub use callers::callers_are_looked_at_again;
pub use domain_joins::{
    a_domain_leads_into_one_tenant_by_itself, domain_joins,
    who_joins_by_domain_finds_the_rule_and_a_seat,
};
pub use entries::{entering_tells_a_stranger_nothing, entering_tells_what_single_questions_tell};
pub use invitations::{
    a_resend_and_a_revocation_meet_an_acceptance, an_acceptance_looks_at_everything_again,
    an_address_has_one_open_invitation, an_invitation_is_accepted_once,
    an_invitation_is_kept_and_changed, five_at_once_share_three_seats, invitations,
    invitations_are_listed_in_pages, invitations_by_keys, invitations_by_operators,
    seats_are_counted_where_one_is_taken,
};
pub use issuers::{an_issuer_is_one_tenants, issuers, issuers_are_listed_in_pages};
pub use keys::{
    a_handle_belongs_to_one_key, a_key_is_rotated_once, a_revocation_stays,
    a_rotated_key_never_outlives_its_expiry, a_rotation_never_undoes_a_revocation,
    an_imported_key_is_rotated_into_one_with_a_digest, changes_of_keys_are_kept_and_told,
    digests_are_replaced_if_expected, imported_keys_are_found_by_their_handle, keys,
    keys_are_changed_as_they_were_seen, keys_are_found_as_they_were_stored, keys_are_handed_over,
    keys_are_listed_in_pages, keys_belong_to_one_tenant, keys_end_with_the_membership,
    many_keys_are_revoked_at_once, no_key_outlives_the_membership,
    no_successor_escapes_a_revocation_across_tenants,
    no_successor_escapes_the_revocation_of_its_tenant, the_keys_of_a_creator_are_revoked,
    uses_are_noted_forward_only,
};
pub use members::{members_are_listed_in_pages, the_tenants_of_a_user_are_listed_in_pages};
pub use names::{names_are_listed_in_pages, names_are_unbound};
pub use operators::{
    a_tenant_agrees_and_takes_it_back, an_impersonation_is_found_by_its_token_and_ends,
    an_operator_has_one_impersonation_of_a_user, an_operator_is_found_by_issuer_and_subject,
    another_operator_approves, impersonations_are_listed_in_pages,
    impersonations_end_with_the_operators_right, operators, operators_are_listed_in_pages,
};
pub use overrides::limit_overrides;
pub use owners::{
    an_offer_ends_with_what_it_rests_on, members_are_changed_as_they_were_seen,
    of_two_owners_who_go_at_once_one_stays, ownership, ownership_is_handed_on_once,
    the_last_owner_stays, what_happens_to_an_offer_at_once_happens_once,
};
pub use plans::{plans, versions_are_added_in_their_order_and_found, versions_are_listed_in_pages};
pub use projects::{
    keys_end_with_their_project, project_roles_are_changed_as_they_were_seen,
    project_roles_are_of_members, project_roles_are_removed, projects_are_listed_in_pages,
    projects_are_removed, projects_are_told_to_whom_they_admit,
};
pub use provisioning::{
    a_key_makes_one_tenant, a_tenant_is_made_with_all_that_it_begins_with,
    a_tenant_of_which_a_part_is_taken_leaves_nothing, of_two_at_once_with_one_key_one_is_made,
    provisioning,
};
pub use roles::roles_are_listed_and_removed;
pub use tenants::{
    a_slug_is_replaced, a_tenant_is_renamed, a_tenants_resting_slugs_are_bounded,
    tenants_are_listed_in_pages,
};
pub use token_revocations::{
    old_token_revocations_are_forgotten, token_revocations_are_told,
    token_revocations_never_move_back,
};

use super::{Directory, DirectoryStore, FeedCursor, StoreErrorKind};
use crate::{
    DomainName, Membership, MembershipRemoval, MembershipStatus, Project, ProjectMembership,
    RoleDefinition, RoleName, RoleSeen, RoleTable, Settings, Slug, TenantId, TenantKey,
    TenantRecord, TenantStatus, Timestamp, UserId, testing::unattributed,
};

/// Runs the whole suite. The directory may hold other tenants; the suite makes its own.
pub async fn directory<D: Directory + DirectoryStore>(directory: &D) {
    tenants_are_found_by_every_key(directory).await;
    names_are_unique(directory).await;
    status_follows_the_machine(directory).await;
    memberships_belong_to_one_tenant(directory).await;
    projects_belong_to_one_tenant(directory).await;
    roles_belong_to_one_tenant(directory).await;
    roles_are_bounded(directory).await;
    entering_tells_what_single_questions_tell(directory).await;
    entering_tells_a_stranger_nothing(directory).await;
    project_roles_end_with_the_membership(directory).await;
    unknown_tenants_can_not_be_written(directory).await;
    a_plan_replaces_the_one_that_was_seen(directory).await;
    every_change_is_told_once_it_is_visible(directory).await;
    a_tenant_is_renamed(directory).await;
    a_slug_is_replaced(directory).await;
    a_tenants_resting_slugs_are_bounded(directory).await;
    tenants_are_listed_in_pages(directory).await;
    names_are_unbound(directory).await;
    names_are_listed_in_pages(directory).await;
    the_last_owner_stays(directory).await;
    of_two_owners_who_go_at_once_one_stays(directory).await;
    members_are_changed_as_they_were_seen(directory).await;
    callers_are_looked_at_again(directory).await;
    members_are_listed_in_pages(directory).await;
    the_tenants_of_a_user_are_listed_in_pages(directory).await;
    projects_are_removed(directory).await;
    project_roles_are_removed(directory).await;
    project_roles_are_of_members(directory).await;
    project_roles_are_changed_as_they_were_seen(directory).await;
    projects_are_listed_in_pages(directory).await;
    projects_are_told_to_whom_they_admit(directory).await;
    roles_are_listed_and_removed(directory).await;
    token_revocations_never_move_back(directory).await;
    token_revocations_are_told(directory).await;
    old_token_revocations_are_forgotten(directory).await;
}

fn slug(prefix: &str) -> Slug {
    let id = TenantId::new().as_uuid().simple().to_string();
    format!("{prefix}-{id}").parse().expect("a slug")
}

async fn new_tenant<D: DirectoryStore>(directory: &D) -> TenantRecord {
    let tenant = TenantRecord::new(slug("t"), "A tenant").with_status(TenantStatus::Active);
    directory
        .create_tenant(&tenant, &unattributed())
        .await
        .expect("a new tenant is stored");
    tenant
}

fn role(name: &str) -> RoleName {
    name.parse().expect("a role name")
}

/// A tenant is found by id, slug, domain and external id, with what was stored.
pub async fn tenants_are_found_by_every_key<D: Directory + DirectoryStore>(directory: &D) {
    let settings = Settings::new(serde_json::json!({ "seats": 5, "theme": { "dark": true } }));
    let mut tenant =
        TenantRecord::new(slug("found"), "Fände & Söhne '\"; --").with_settings(settings);
    tenant.plan = Some("pro".into());
    directory
        .create_tenant(&tenant, &unattributed())
        .await
        .unwrap();
    let domain: DomainName = format!("{}.example.org", tenant.slug).parse().unwrap();
    directory
        .bind_domain(tenant.id, &domain, &unattributed())
        .await
        .unwrap();
    directory
        .bind_external(tenant.id, "github", tenant.slug.as_str(), &unattributed())
        .await
        .unwrap();

    let external = TenantKey::External {
        provider: "github".into(),
        id: tenant.slug.as_str().into(),
    };
    for key in [
        tenant.id.into(),
        tenant.slug.clone().into(),
        domain.into(),
        external,
    ] {
        let found = directory.find_tenant(&key).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("{key} is found"));
        assert_eq!(found.id, tenant.id);
        assert_eq!(found.slug, tenant.slug);
        assert_eq!(found.name, tenant.name);
        assert_eq!(found.plan, tenant.plan);
        assert_eq!(found.status, TenantStatus::Provisioning);
        assert_eq!(found.settings, tenant.settings);
    }
    let wrong = TenantKey::External {
        provider: "gitlab".into(),
        id: tenant.slug.as_str().into(),
    };
    for key in [TenantId::new().into(), slug("nobody").into(), wrong] {
        assert!(
            directory.find_tenant(&key).await.unwrap().is_none(),
            "{key} is not found"
        );
    }
}

/// Slugs, domains and external ids name one tenant each.
pub async fn names_are_unique<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let same_slug = TenantRecord::new(one.slug.clone(), "Usurper");
    let conflict = directory
        .create_tenant(&same_slug, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(conflict.kind(), StoreErrorKind::Conflict);
    assert!(conflict.to_string().contains(one.slug.as_str()));
    let again = directory
        .create_tenant(&one, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::Conflict);

    let domain: DomainName = format!("{}.example.net", one.slug).parse().unwrap();
    directory
        .bind_domain(one.id, &domain, &unattributed())
        .await
        .unwrap();
    directory
        .bind_domain(one.id, &domain, &unattributed())
        .await
        .expect("binding again changes nothing");
    let taken = directory
        .bind_domain(other.id, &domain, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(taken.kind(), StoreErrorKind::Conflict);
    let found = directory
        .find_tenant(&domain.into())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, one.id);

    directory
        .bind_external(one.id, "crm", one.slug.as_str(), &unattributed())
        .await
        .unwrap();
    let taken = directory
        .bind_external(other.id, "crm", one.slug.as_str(), &unattributed())
        .await
        .unwrap_err();
    assert_eq!(taken.kind(), StoreErrorKind::Conflict);
}

/// Only legal steps are taken, and each advances the generation.
pub async fn status_follows_the_machine<D: Directory + DirectoryStore>(directory: &D) {
    let tenant = new_tenant(directory).await;
    let before = directory
        .find_tenant(&tenant.id.into())
        .await
        .unwrap()
        .unwrap();
    let suspended = directory
        .set_status(tenant.id, TenantStatus::Suspended, &unattributed())
        .await
        .unwrap();
    assert_eq!(suspended.status, TenantStatus::Suspended);
    assert!(suspended.generation > before.generation);
    let illegal = directory
        .set_status(tenant.id, TenantStatus::Deleted, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(illegal.kind(), StoreErrorKind::IllegalTransition);
    let after = directory
        .find_tenant(&tenant.id.into())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(after.status, TenantStatus::Suspended);
    assert_eq!(
        after.generation, suspended.generation,
        "a refused step changes nothing"
    );
}

/// A membership is of one user in one tenant.
pub async fn memberships_belong_to_one_tenant<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let user = UserId::new();
    let membership = Membership::new(one.id, user, role("admin"));
    directory
        .put_membership(&membership, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    assert_eq!(
        directory.find_membership(one.id, user).await.unwrap(),
        Some(membership.clone())
    );
    assert_eq!(
        directory.find_membership(other.id, user).await.unwrap(),
        None
    );
    assert_eq!(
        directory
            .find_membership(one.id, UserId::new())
            .await
            .unwrap(),
        None
    );

    let invited =
        Membership::new(one.id, user, role("viewer")).with_status(MembershipStatus::Invited);
    directory
        .put_membership(&invited, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    assert_eq!(
        directory.find_membership(one.id, user).await.unwrap(),
        Some(invited)
    );

    directory
        .remove_membership(
            other.id,
            user,
            &MembershipRemoval::new(Timestamp::EPOCH),
            &unattributed(),
        )
        .await
        .unwrap();
    assert!(
        directory
            .find_membership(one.id, user)
            .await
            .unwrap()
            .is_some()
    );
    directory
        .remove_membership(
            one.id,
            user,
            &MembershipRemoval::new(Timestamp::EPOCH),
            &unattributed(),
        )
        .await
        .unwrap();
    assert_eq!(directory.find_membership(one.id, user).await.unwrap(), None);
}

/// A project is found in its own tenant only, and never moves.
pub async fn projects_belong_to_one_tenant<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let mut project = Project::new(one.id, slug("p"), "A project");
    directory
        .put_project(&project, &unattributed())
        .await
        .unwrap();
    assert_eq!(
        directory.find_project(one.id, project.id).await.unwrap(),
        Some(project.clone())
    );
    assert_eq!(
        directory.find_project(other.id, project.id).await.unwrap(),
        None
    );

    let same_slug = Project::new(one.id, project.slug.clone(), "Twin");
    let conflict = directory
        .put_project(&same_slug, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(conflict.kind(), StoreErrorKind::Conflict);
    let elsewhere = Project::new(other.id, project.slug.clone(), "Namesake");
    directory
        .put_project(&elsewhere, &unattributed())
        .await
        .expect("another tenant may use the slug");

    project.archived = true;
    directory
        .put_project(&project, &unattributed())
        .await
        .unwrap();
    assert!(
        directory
            .find_project(one.id, project.id)
            .await
            .unwrap()
            .unwrap()
            .archived
    );
    let mut moved = project.clone();
    moved.tenant = other.id;
    moved.slug = slug("moved");
    let conflict = directory
        .put_project(&moved, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(conflict.kind(), StoreErrorKind::Conflict);

    let user = UserId::new();
    let viewer = Membership::new(one.id, user, role("viewer"));
    directory
        .put_membership(&viewer, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    let member = ProjectMembership::new(one.id, project.id, user, role("member"));
    directory
        .put_project_membership(&member, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    let found = directory
        .find_project_role(one.id, project.id, user)
        .await
        .unwrap();
    assert_eq!(found, Some(role("member")));
    assert_eq!(
        directory
            .find_project_role(other.id, project.id, user)
            .await
            .unwrap(),
        None
    );
    let astray = ProjectMembership::new(other.id, project.id, user, role("owner"));
    let unknown = directory
        .put_project_membership(&astray, &RoleSeen::Any, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::NotFound);
}

/// A tenant's own roles are that tenant's only.
pub async fn roles_belong_to_one_tenant<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let auditor = RoleDefinition::new(role("auditor"))
        .allow("notes:read")
        .deny("notes:write");
    directory
        .put_role(one.id, &auditor, &unattributed())
        .await
        .unwrap();
    assert_eq!(
        directory.find_roles(one.id).await.unwrap(),
        vec![auditor.clone()]
    );
    assert_eq!(directory.find_roles(other.id).await.unwrap(), Vec::new());

    let replaced = RoleDefinition::new(role("auditor")).allow("notes:*");
    directory
        .put_role(one.id, &replaced, &unattributed())
        .await
        .unwrap();
    assert_eq!(directory.find_roles(one.id).await.unwrap(), vec![replaced]);
}

/// A tenant has so many roles of its own and no more; each of them can still be replaced.
pub async fn roles_are_bounded<D: Directory + DirectoryStore>(directory: &D) {
    let tenant = new_tenant(directory).await;
    let named = |number: usize| RoleDefinition::new(role(&format!("role-{number}")));
    for number in 1..RoleTable::MAX_ROLES {
        directory
            .put_role(tenant.id, &named(number), &unattributed())
            .await
            .unwrap();
    }
    // Many at once for the last place.
    let at_once = (0..8).map(async |number| {
        let role = named(1_000 + number);
        directory.put_role(tenant.id, &role, &unattributed()).await
    });
    let stored = futures_util::future::join_all(at_once).await;
    assert_eq!(stored.iter().filter(|stored| stored.is_ok()).count(), 1);
    let more = named(RoleTable::MAX_ROLES);
    let refused = directory
        .put_role(tenant.id, &more, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    let replaced = named(5).allow("notes:read");
    directory
        .put_role(tenant.id, &replaced, &unattributed())
        .await
        .unwrap();
    let stored = directory.find_roles(tenant.id).await.unwrap();
    assert_eq!(stored.len(), RoleTable::MAX_ROLES);
    assert!(stored.contains(&replaced) && !stored.contains(&more));
}

/// Whoever leaves a tenant and comes back has no role in its projects.
pub async fn project_roles_end_with_the_membership<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let (user, stays) = (UserId::new(), UserId::new());
    let here = Project::new(one.id, slug("p"), "A project");
    let there = Project::new(other.id, slug("p"), "A project");
    for (tenant, project) in [(&one, &here), (&other, &there)] {
        directory
            .put_project(project, &unattributed())
            .await
            .unwrap();
        for who in [user, stays] {
            let membership = Membership::new(tenant.id, who, role("viewer"));
            directory
                .put_membership(&membership, &RoleSeen::Any, &unattributed())
                .await
                .unwrap();
            let admin = ProjectMembership::new(tenant.id, project.id, who, role("admin"));
            directory
                .put_project_membership(&admin, &RoleSeen::Any, &unattributed())
                .await
                .unwrap();
        }
    }
    directory
        .remove_membership(
            one.id,
            user,
            &MembershipRemoval::new(Timestamp::EPOCH),
            &unattributed(),
        )
        .await
        .unwrap();
    let again = Membership::new(one.id, user, role("viewer"));
    directory
        .put_membership(&again, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    for (project, who, role) in [
        (&here, user, None),
        (&here, stays, Some(role("admin"))),
        (&there, user, Some(role("admin"))),
    ] {
        let found = directory.find_project_role(project.tenant, project.id, who);
        assert_eq!(found.await.unwrap(), role);
    }
}

/// A plan takes the place of the one that the caller has seen, and of no other.
pub async fn a_plan_replaces_the_one_that_was_seen<D: Directory + DirectoryStore>(directory: &D) {
    let tenant = new_tenant(directory).await.id;
    let plan = async || {
        let found = directory.find_tenant(&TenantKey::Id(tenant)).await.unwrap();
        found.unwrap().plan
    };
    let replace = async |from: Option<&str>, to: Option<&str>| {
        let replaced = directory
            .replace_plan(tenant, from, to, &unattributed())
            .await;
        replaced.map_err(|error| error.kind())
    };
    assert_eq!(plan().await, None);
    let conflict = Err(StoreErrorKind::Conflict);
    assert_eq!(replace(Some("free"), Some("pro")).await, conflict);
    assert_eq!(replace(None, Some("free@1")).await, Ok(()));
    assert_eq!(replace(None, Some("pro")).await, conflict);
    assert_eq!(replace(Some("free"), Some("pro")).await, conflict);
    assert_eq!(plan().await.as_deref(), Some("free@1"));
    assert_eq!(replace(Some("free@1"), Some("pro")).await, Ok(()));
    assert_eq!(plan().await.as_deref(), Some("pro"));
    assert_eq!(replace(Some("pro"), None).await, Ok(()));
    assert_eq!(plan().await, None);
}

/// Nothing can be attached to a tenant that does not exist.
pub async fn unknown_tenants_can_not_be_written<D: Directory + DirectoryStore>(directory: &D) {
    let nobody = TenantId::new();
    let not_found = |error: Option<crate::StoreError>, what: &str| {
        let kind = error.unwrap_or_else(|| panic!("{what} is refused")).kind();
        assert_eq!(kind, StoreErrorKind::NotFound, "{what}");
    };
    let user = UserId::new();
    let status = directory
        .set_status(nobody, TenantStatus::Active, &unattributed())
        .await;
    not_found(status.err(), "a status");
    not_found(
        directory
            .set_settings(nobody, &Settings::default(), &unattributed())
            .await
            .err(),
        "settings",
    );
    let plan = directory
        .set_plan(nobody, Some("pro"), &unattributed())
        .await;
    not_found(plan.err(), "a plan");
    let plan = directory
        .replace_plan(nobody, None, Some("pro"), &unattributed())
        .await;
    not_found(plan.err(), "another plan");
    let membership = Membership::new(nobody, user, role("owner"));
    not_found(
        directory
            .put_membership(&membership, &RoleSeen::Any, &unattributed())
            .await
            .err(),
        "a membership",
    );
    let project = Project::new(nobody, slug("p"), "A project");
    not_found(
        directory.put_project(&project, &unattributed()).await.err(),
        "a project",
    );
    let auditor = RoleDefinition::new(role("auditor"));
    not_found(
        directory
            .put_role(nobody, &auditor, &unattributed())
            .await
            .err(),
        "a role",
    );
    let project = project.id;
    for (removed, what) in [
        (
            directory.rename(nobody, "Nobody", &unattributed()).await,
            "a name",
        ),
        (
            directory
                .set_slug(nobody, &slug("nobody"), &unattributed())
                .await,
            "a slug",
        ),
        (
            directory
                .remove_membership(
                    nobody,
                    user,
                    &MembershipRemoval::new(Timestamp::EPOCH),
                    &unattributed(),
                )
                .await,
            "no membership",
        ),
        (
            directory
                .remove_project(nobody, project, crate::Timestamp::EPOCH, &unattributed())
                .await,
            "no project",
        ),
        (
            directory
                .remove_project_membership(nobody, project, user, &RoleSeen::Any, &unattributed())
                .await,
            "no role in a project",
        ),
        (
            directory
                .remove_role(nobody, &auditor.name, &unattributed())
                .await,
            "no role",
        ),
        (
            directory
                .unbind_domain(
                    nobody,
                    &"nobody.example.com".parse().unwrap(),
                    &unattributed(),
                )
                .await,
            "no domain",
        ),
        (
            directory
                .unbind_external(nobody, "crm", "nobody", &unattributed())
                .await,
            "no external id",
        ),
    ] {
        not_found(removed.err(), what);
    }
    let domain = "nobody.example.com".parse().unwrap();
    not_found(
        directory
            .bind_domain(nobody, &domain, &unattributed())
            .await
            .err(),
        "a domain",
    );
    not_found(
        directory
            .bind_external(nobody, "crm", "nobody", &unattributed())
            .await
            .err(),
        "an external id",
    );
}

/// Each kind of change moves the generation on and is told by the feed.
pub async fn every_change_is_told_once_it_is_visible<D: Directory + DirectoryStore>(directory: &D) {
    let tenant = new_tenant(directory).await;
    let id = tenant.id;
    let user = UserId::new();
    let project = Project::new(id, slug("p"), "A project");
    let mut cursor = directory.changes_since(None).await.unwrap().cursor;
    let mut generation = directory
        .find_tenant(&id.into())
        .await
        .unwrap()
        .unwrap()
        .generation;

    let domain: DomainName = format!("{}.example", tenant.slug).parse().unwrap();
    for change in 0..18 {
        match change {
            0 => drop(
                directory
                    .set_status(id, TenantStatus::Suspended, &unattributed())
                    .await
                    .unwrap(),
            ),
            1 => drop(
                directory
                    .set_status(id, TenantStatus::Active, &unattributed())
                    .await
                    .unwrap(),
            ),
            2 => directory
                .set_settings(id, &Settings::default(), &unattributed())
                .await
                .unwrap(),
            3 => {
                let viewer = Membership::new(id, user, role("viewer"));
                directory
                    .put_membership(&viewer, &RoleSeen::Any, &unattributed())
                    .await
                    .unwrap();
            }
            4 => directory
                .put_project(&project, &unattributed())
                .await
                .unwrap(),
            5 => {
                let member = ProjectMembership::new(id, project.id, user, role("member"));
                directory
                    .put_project_membership(&member, &RoleSeen::Any, &unattributed())
                    .await
                    .unwrap();
            }
            6 => directory
                .remove_project_membership(id, project.id, user, &RoleSeen::Any, &unattributed())
                .await
                .unwrap(),
            7 => directory
                .set_plan(id, Some("pro"), &unattributed())
                .await
                .unwrap(),
            8 => {
                let auditor = RoleDefinition::new(role("auditor"));
                directory
                    .put_role(id, &auditor, &unattributed())
                    .await
                    .unwrap();
            }
            9 => directory
                .remove_role(id, &role("auditor"), &unattributed())
                .await
                .unwrap(),
            10 => directory
                .remove_membership(
                    id,
                    user,
                    &MembershipRemoval::new(Timestamp::EPOCH),
                    &unattributed(),
                )
                .await
                .unwrap(),
            11 => {
                let now = crate::Timestamp::EPOCH;
                directory
                    .remove_project(id, project.id, now, &unattributed())
                    .await
                    .unwrap();
            }
            12 => directory
                .bind_domain(id, &domain, &unattributed())
                .await
                .unwrap(),
            13 => directory
                .unbind_domain(id, &domain, &unattributed())
                .await
                .unwrap(),
            14 => directory
                .bind_external(id, "crm", tenant.slug.as_str(), &unattributed())
                .await
                .unwrap(),
            15 => directory
                .unbind_external(id, "crm", tenant.slug.as_str(), &unattributed())
                .await
                .unwrap(),
            16 => directory
                .rename(id, "Renamed", &unattributed())
                .await
                .unwrap(),
            _ => directory
                .set_slug(id, &slug("new"), &unattributed())
                .await
                .unwrap(),
        }
        let record = directory.find_tenant(&id.into()).await.unwrap().unwrap();
        assert_eq!(record.plan.as_deref(), (change >= 7).then_some("pro"));
        assert!(
            record.generation > generation,
            "change {change} moves the generation on"
        );
        generation = record.generation;
        cursor = told(directory, cursor, &record, change).await;
    }
}

async fn told<D: Directory>(
    directory: &D,
    cursor: FeedCursor,
    tenant: &TenantRecord,
    change: i32,
) -> FeedCursor {
    let page = directory.changes_since(Some(cursor)).await.unwrap();
    let news = page
        .changed
        .iter()
        .find(|(changed, _)| *changed == tenant.id);
    let told = news.map(|(_, generation)| *generation);
    assert_eq!(told, Some(tenant.generation), "change {change} is told");
    page.cursor
}

#[cfg(test)]
mod tests {
    use crate::MemoryDirectory;

    #[tokio::test]
    async fn memory_conforms() {
        super::directory(&MemoryDirectory::new()).await;
        super::keys(&MemoryDirectory::new()).await;
        super::ownership(&MemoryDirectory::new()).await;
        super::invitations(&MemoryDirectory::new()).await;
        super::domain_joins(&MemoryDirectory::new()).await;
    }
}

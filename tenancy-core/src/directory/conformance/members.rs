//! Members of a tenant, and tenants of a user, listed.

use super::{new_tenant, role};
use crate::{
    Directory, DirectoryStore, MemberFilter, Membership, MembershipStatus, RoleSeen,
    TenantMembership, TenantStatus, UserId, testing::unattributed,
};

/// Members are listed by id, in pages, and only those that are asked for, of one tenant.
pub async fn members_are_listed_in_pages<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let statuses = [
        MembershipStatus::Active,
        MembershipStatus::Invited,
        MembershipStatus::Suspended,
    ];
    let mut members = Vec::new();
    for (number, status) in statuses.into_iter().cycle().take(7).enumerate() {
        let role = role(if number < 4 { "viewer" } else { "editor" });
        let member = Membership::new(one.id, UserId::new(), role).with_status(status);
        let theirs = Membership::new(other.id, member.user, member.role.clone());
        for member in [&member, &theirs] {
            directory
                .put_membership(member, &RoleSeen::Any, &unattributed())
                .await
                .unwrap();
        }
        members.push(member);
    }
    members.sort_by_key(|member| member.user);

    let all = MemberFilter::new();
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = directory.list_members(one.id, &all, after, 3).await;
        let page = page.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.user);
        pages.push(page);
    }
    let wanted: Vec<_> = members.chunks(3).map(<[_]>::to_vec).collect();
    assert_eq!(pages, wanted);

    let invited = MemberFilter::new().status(MembershipStatus::Invited);
    let editors = MemberFilter::new().role(role("editor"));
    let both = invited.clone().role(role("editor"));
    let none = MemberFilter::new().role(role("nobody"));
    for (filter, count) in [(all, 7), (invited, 2), (editors, 3), (both, 1), (none, 0)] {
        let listed = directory.list_members(one.id, &filter, None, 100).await;
        let mut wanted = members.clone();
        wanted.retain(|member| filter.matches(member));
        assert_eq!(wanted.len(), count, "{filter:?}");
        assert_eq!(listed.unwrap(), wanted, "{filter:?}");
    }
}

/// The tenants of a user are listed by id, in pages, and only those that are asked for; deleted ones never.
pub async fn the_tenants_of_a_user_are_listed_in_pages<D: Directory + DirectoryStore>(
    directory: &D,
) {
    let (user, stranger) = (UserId::new(), UserId::new());
    let mut theirs = Vec::new();
    for number in 0..5 {
        let tenant = new_tenant(directory).await;
        let status = if number < 3 {
            MembershipStatus::Active
        } else {
            MembershipStatus::Invited
        };
        let role = role(if number < 2 { "viewer" } else { "editor" });
        let member = Membership::new(tenant.id, user, role).with_status(status);
        for member in [
            &member,
            &Membership::new(tenant.id, stranger, member.role.clone()),
        ] {
            directory
                .put_membership(member, &RoleSeen::Any, &unattributed())
                .await
                .unwrap();
        }
        theirs.push((tenant.id, member));
    }
    // This one is gone.
    let gone = new_tenant(directory).await;
    let member = Membership::new(gone.id, user, role("viewer"));
    directory
        .put_membership(&member, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    for status in [TenantStatus::PendingDeletion, TenantStatus::Deleted] {
        directory
            .set_status(gone.id, status, &unattributed())
            .await
            .unwrap();
    }
    theirs.sort_by_key(|(tenant, _)| *tenant);

    let list = async |filter: &MemberFilter, after, limit| -> Vec<TenantMembership> {
        let page = directory.list_tenants_of(user, filter, after, limit).await;
        page.unwrap()
    };
    let all = MemberFilter::new();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = list(&all, after, 2).await;
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.record.id);
        listed.extend(page);
    }
    let told: Vec<_> = (listed.iter())
        .map(|it| (it.record.id, it.membership.clone()))
        .collect();
    assert_eq!(told, theirs);
    for it in &listed {
        let record = directory.find_tenant(&it.record.id.into()).await.unwrap();
        assert_eq!(Some(&it.record), record.as_ref());
    }

    let active = MemberFilter::new().status(MembershipStatus::Active);
    let editors = MemberFilter::new().role(role("editor"));
    let both = active.clone().role(role("editor"));
    for (filter, count) in [(all, 5), (active, 3), (editors, 3), (both, 1)] {
        let page = list(&filter, None, 100).await;
        assert_eq!(page.len(), count, "{filter:?}");
        assert!(page.iter().all(|it| filter.matches(&it.membership)));
    }
}

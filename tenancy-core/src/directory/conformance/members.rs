//! Members, listed.

use super::{new_tenant, role};
use crate::{
    Directory, DirectoryStore, MemberFilter, Membership, MembershipStatus, UserId,
    testing::unattributed,
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
                .put_membership(member, &unattributed())
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

//! Callers, whom a store looks at again in the transaction of what they change.

use super::{new_tenant, role};
use crate::{
    CallerSeen, ChangeRecord, Directory, DirectoryStore, Membership, MembershipChange, Project,
    RoleSeen, StoreError, StoreErrorKind, TenantId, TenantKey, UserId, testing::unattributed,
};

/// What a member who is not any more what the change was permitted on changes is not changed.
pub async fn callers_are_looked_at_again<D: Directory + DirectoryStore>(directory: &D) {
    let tenant = new_tenant(directory).await;
    let carol = Membership::new(tenant.id, UserId::new(), role("admin"));
    let record = unattributed();
    directory
        .put_membership(&carol, &RoleSeen::Any, &record)
        .await
        .unwrap();
    let seen = CallerSeen::new(carol.tenant, carol.user, carol.role.clone());
    let by_carol = || unattributed().by(seen.clone());
    directory
        .rename(tenant.id, "By Carol", &by_carol())
        .await
        .unwrap();

    let to_be = [
        MembershipChange::Role(role("viewer")),
        MembershipChange::Role(role("admin")),
        MembershipChange::Suspend,
    ];
    for (step, to) in to_be.iter().enumerate() {
        directory
            .change_membership(tenant.id, carol.user, to, &RoleSeen::Any, &unattributed())
            .await
            .unwrap();
        if step == 1 {
            directory
                .rename(tenant.id, "By Carol again", &by_carol())
                .await
                .unwrap();
        } else {
            nothing_changes(directory, tenant.id, &by_carol()).await;
        }
    }
    // One who was never there.
    let nobody = CallerSeen::new(tenant.id, UserId::new(), role("admin"));
    nothing_changes(directory, tenant.id, &unattributed().by(nobody)).await;
}

async fn nothing_changes<D: Directory + DirectoryStore>(
    directory: &D,
    tenant: TenantId,
    record: &ChangeRecord,
) {
    let forbidden = |done: Result<(), StoreError>| {
        assert_eq!(done.unwrap_err().kind(), StoreErrorKind::Forbidden);
    };
    let found = async || directory.find_tenant(&TenantKey::Id(tenant)).await.unwrap();
    let before = found().await;
    assert!(before.is_some());
    forbidden(directory.rename(tenant, "Taken over", record).await);
    let project = Project::new(tenant, "theirs".parse().unwrap(), "Theirs");
    forbidden(directory.put_project(&project, record).await);
    let projects = directory.find_project(tenant, project.id).await.unwrap();
    assert_eq!(projects, None);
    let friend = Membership::new(tenant, UserId::new(), role("viewer"));
    let put = directory.put_membership(&friend, &RoleSeen::None, record);
    forbidden(put.await);
    let members = directory.find_membership(tenant, friend.user).await;
    assert_eq!(members.unwrap(), None);
    assert_eq!(found().await, before);
}

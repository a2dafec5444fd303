//! Projects and their members: removed, and listed.

use super::{new_tenant, role, slug};
use crate::{
    Directory, DirectoryStore, EntryQuery, KeyId, Membership, MembershipRemoval, Project,
    ProjectAccess, ProjectFilter, ProjectMembership, RoleSeen, StoreErrorKind, TenantId,
    TenantRecord, Timestamp, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyStore},
    testing::unattributed,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

async fn project_of<D: DirectoryStore>(directory: &D, tenant: &TenantRecord) -> Project {
    let project = Project::new(tenant.id, slug("p"), "A project");
    directory
        .put_project(&project, &unattributed())
        .await
        .unwrap();
    project
}

/// Gives somebody a role in a project, and makes a viewer of the tenant of who is no member.
async fn join<D: Directory + DirectoryStore>(directory: &D, project: &Project, user: UserId) {
    let tenant = project.tenant;
    let found = directory.find_membership(tenant, user).await.unwrap();
    if found.is_none() {
        joins_tenant(directory, tenant, user).await;
    }
    let member = ProjectMembership::new(tenant, project.id, user, role("member"));
    directory
        .put_project_membership(&member, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
}

async fn joins_tenant<D: DirectoryStore>(directory: &D, tenant: TenantId, user: UserId) {
    let viewer = Membership::new(tenant, user, role("viewer"));
    directory
        .put_membership(&viewer, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
}

/// A project is removed by its own tenant, with the roles in it; its slug is free then.
pub async fn projects_are_removed<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let (gone, stays) = (
        project_of(directory, &one).await,
        project_of(directory, &one).await,
    );
    let user = UserId::new();
    for project in [&gone, &stays] {
        join(directory, project, user).await;
    }
    directory
        .remove_project(other.id, gone.id, NOW, &unattributed())
        .await
        .expect("another's is not there, and that is no error");
    let found = directory.find_project(one.id, gone.id).await.unwrap();
    assert_eq!(found.as_ref(), Some(&gone));
    for _ in 0..2 {
        directory
            .remove_project(one.id, gone.id, NOW, &unattributed())
            .await
            .unwrap();
    }
    for (project, expected, in_it) in [(&gone, None, None), (&stays, Some(&stays), Some("member"))]
    {
        let found = directory.find_project(one.id, project.id).await.unwrap();
        assert_eq!(found.as_ref(), expected);
        let found = directory.find_project_role(one.id, project.id, user).await;
        assert_eq!(found.unwrap(), in_it.map(role));
    }
    directory.put_project(&gone, &unattributed()).await.unwrap();
    let found = directory.find_project_role(one.id, gone.id, user).await;
    assert_eq!(found.unwrap(), None, "who comes back starts afresh");
}

/// A role in a project is taken away, and no other.
pub async fn project_roles_are_removed<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let project = project_of(directory, &one).await;
    let (leaves, stays) = (UserId::new(), UserId::new());
    for user in [leaves, stays] {
        join(directory, &project, user).await;
    }
    let find = async |user| {
        let found = directory.find_project_role(one.id, project.id, user).await;
        found.unwrap()
    };
    let remove = async |tenant, user| {
        let record = unattributed();
        let any = RoleSeen::Any;
        let done = directory.remove_project_membership(tenant, project.id, user, &any, &record);
        done.await.unwrap();
    };
    remove(other.id, leaves).await;
    assert_eq!(find(leaves).await, Some(role("member")));
    for _ in 0..2 {
        remove(one.id, leaves).await;
    }
    assert_eq!(find(leaves).await, None);
    assert_eq!(find(stays).await, Some(role("member")));
}

/// A role in a project is a member's: nobody else is given one, and whoever leaves comes back without.
pub async fn project_roles_are_of_members<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let project = project_of(directory, &one).await;
    let user = UserId::new();
    // A member, and of another tenant.
    joins_tenant(directory, other.id, user).await;
    let admin = ProjectMembership::new(one.id, project.id, user, role("admin"));
    let give = async || {
        directory
            .put_project_membership(&admin, &RoleSeen::Any, &unattributed())
            .await
    };
    let find = async || {
        let found = directory.find_project_role(one.id, project.id, user).await;
        found.unwrap()
    };
    let refused = give().await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::NotFound, "{refused}");
    assert_eq!(find().await, None);

    joins_tenant(directory, one.id, user).await;
    assert_eq!(find().await, None);
    give().await.unwrap();
    // Another role in the tenant leaves that in the project as it is.
    let viewer = Membership::new(one.id, user, role("member"));
    for seen in [RoleSeen::Any, RoleSeen::Role(role("member"))] {
        directory
            .put_membership(&viewer, &seen, &unattributed())
            .await
            .unwrap();
        assert_eq!(find().await, Some(role("admin")));
    }

    let removal = MembershipRemoval::new(NOW);
    directory
        .remove_membership(one.id, user, &removal, &unattributed())
        .await
        .unwrap();
    let refused = give().await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::NotFound, "{refused}");
    joins_tenant(directory, one.id, user).await;
    assert_eq!(find().await, None);
}

/// A role in a project is replaced, and taken away, if it is the one that was seen.
pub async fn project_roles_are_changed_as_they_were_seen<D: Directory + DirectoryStore>(
    directory: &D,
) {
    let tenant = new_tenant(directory).await;
    let project = project_of(directory, &tenant).await;
    let (user, newcomer) = (UserId::new(), UserId::new());
    for user in [user, newcomer] {
        joins_tenant(directory, tenant.id, user).await;
    }
    let put = async |user, name: &str, seen: RoleSeen| {
        let one = ProjectMembership::new(tenant.id, project.id, user, role(name));
        directory
            .put_project_membership(&one, &seen, &unattributed())
            .await
    };
    let remove = async |user, seen: RoleSeen| {
        let (of, record) = ((tenant.id, project.id), unattributed());
        let done = directory.remove_project_membership(of.0, of.1, user, &seen, &record);
        done.await
    };
    let find = async |user| {
        let found = directory
            .find_project_role(tenant.id, project.id, user)
            .await;
        found.unwrap()
    };
    put(user, "owner", RoleSeen::None).await.unwrap();
    for seen in [RoleSeen::None, RoleSeen::Role(role("viewer"))] {
        for refused in [
            put(user, "viewer", seen.clone()).await,
            remove(user, seen).await,
        ] {
            assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Conflict);
        }
    }
    let seen = RoleSeen::Role(role("viewer"));
    for refused in [
        put(newcomer, "owner", seen.clone()).await,
        remove(newcomer, seen).await,
    ] {
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Conflict);
    }
    assert_eq!(find(user).await, Some(role("owner")));
    assert_eq!(find(newcomer).await, None);

    let seen = |name| RoleSeen::Role(role(name));
    put(user, "member", seen("owner")).await.unwrap();
    assert_eq!(find(user).await, Some(role("member")));
    remove(user, seen("member")).await.unwrap();
    assert_eq!(find(user).await, None);
    remove(user, RoleSeen::None).await.unwrap();
}

/// Projects are listed by id, and who has a role in one by user, in pages, of one tenant.
pub async fn projects_are_listed_in_pages<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let foreign = project_of(directory, &other).await;
    join(directory, &foreign, UserId::new()).await;
    let mut projects = Vec::new();
    for number in 0..5 {
        let mut project = project_of(directory, &one).await;
        project.archived = number == 2;
        directory
            .put_project(&project, &unattributed())
            .await
            .unwrap();
        projects.push(project);
    }
    projects.sort_by_key(|project| project.id);
    let all = ProjectFilter::new();
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(|project: &Project| project.id);
        let page = directory.list_projects(one.id, &all, after, 2).await;
        let page = page.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        listed.extend(page);
    }
    assert_eq!(listed, projects);

    let mut users: Vec<_> = (0..5).map(|_| UserId::new()).collect();
    for user in &users {
        join(directory, &projects[0], *user).await;
    }
    join(directory, &projects[1], users[0]).await;
    users.sort_unstable();
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(|member: &ProjectMembership| member.user);
        let page = directory.list_project_members(one.id, projects[0].id, after, 2);
        let page = page.await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        listed.extend(page);
    }
    let wanted = users.iter().map(|user| {
        let project = projects[0].id;
        ProjectMembership::new(one.id, project, *user, role("member"))
    });
    assert_eq!(listed, wanted.collect::<Vec<_>>());
    let astray = directory.list_project_members(one.id, foreign.id, None, 100);
    assert_eq!(astray.await.unwrap(), [], "another tenant's project");
}

/// Who may enter a project is kept, and changed; who may not is told of none, by a listing and by the question that
/// entering takes.
pub async fn projects_are_told_to_whom_they_admit<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let mut open = project_of(directory, &one).await;
    let mut closed = Project::new(one.id, slug("c"), "A project of few");
    closed.access = ProjectAccess::RoleOnly;
    let mut gone = Project::new(one.id, slug("g"), "An old one of few");
    (gone.access, gone.archived) = (ProjectAccess::RoleOnly, true);
    for project in [&closed, &gone] {
        let done = directory.put_project(project, &unattributed()).await;
        done.unwrap();
        let found = directory.find_project(one.id, project.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(project));
    }
    let [owner, member, insider] = [(); 3].map(|()| UserId::new());
    for (user, name) in [(owner, "owner"), (member, "admin"), (insider, "viewer")] {
        let member = Membership::new(one.id, user, role(name));
        let done = directory
            .put_membership(&member, &RoleSeen::Any, &unattributed())
            .await;
        done.unwrap();
    }
    for project in [&closed, &gone] {
        join(directory, project, insider).await;
    }
    // A project of the same user in another tenant admits to none here.
    let foreign = project_of(directory, &other).await;
    join(directory, &foreign, member).await;

    let list = async |filter: ProjectFilter| {
        let page = directory.list_projects(one.id, &filter, None, 100).await;
        page.unwrap().iter().map(|it| it.id).collect::<Vec<_>>()
    };
    let ids = |projects: &[&Project]| {
        let mut ids: Vec<_> = projects.iter().map(|project| project.id).collect();
        ids.sort_unstable();
        ids
    };
    let all = ProjectFilter::new;
    for (filter, wanted) in [
        (all(), ids(&[&open, &closed, &gone])),
        (all().open_to(insider), ids(&[&open, &closed, &gone])),
        (all().open_to(member), ids(&[&open])),
        (all().archived(false), ids(&[&open, &closed])),
        (all().open_to(insider).archived(true), ids(&[&gone])),
        (all().open_to(member).archived(true), ids(&[])),
    ] {
        assert_eq!(list(filter.clone()).await, wanted, "{filter:?}");
    }
    let entered = async |user, project: &Project| {
        let query = EntryQuery::new(one.id.into(), Some(user), TenantId::new());
        let query = query.in_project(Some(project.id));
        let entry = directory.find_entry(&query).await.unwrap();
        assert!(entry.membership.is_some(), "a member is told so");
        entry.project
    };
    for (user, in_open, in_closed) in [
        (owner, Some(None), Some(None)),
        (member, Some(None), None),
        (insider, Some(None), Some(Some(role("member")))),
    ] {
        for (project, wanted) in [(&open, &in_open), (&closed, &in_closed)] {
            let wanted = wanted.clone().map(|role| (project.clone(), role));
            assert_eq!(entered(user, project).await, wanted);
        }
    }
    // Each is changed to the other, also with its slug, which takes another statement in a database.
    (open.access, closed.access) = (ProjectAccess::RoleOnly, ProjectAccess::Members);
    open.slug = slug("o");
    for project in [&open, &closed] {
        let done = directory.put_project(project, &unattributed()).await;
        done.unwrap();
    }
    assert_eq!(list(all().open_to(member)).await, ids(&[&closed]));
    assert_eq!(entered(member, &open).await, None);
    assert_eq!(entered(member, &closed).await, Some((closed.clone(), None)));
}

/// The keys that are confined to a project end with it, and can not be used for anything else.
pub async fn keys_end_with_their_project<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    let tenant = new_tenant(directory).await;
    let (gone, stays) = (
        project_of(directory, &tenant).await,
        project_of(directory, &tenant).await,
    );
    let mut keys = Vec::new();
    for project in [Some(&gone), Some(&gone), Some(&stays), None] {
        let digest = KeyDigest::new(1, [7; 32]);
        let user = UserId::new();
        let mut key = ApiKey::new(
            KeyId::new(),
            tenant.id,
            user,
            Environment::Live,
            digest,
            NOW,
        );
        key.project = project.map(|project| project.id);
        let member = Membership::new(tenant.id, user, role("member"));
        directory
            .put_membership(&member, &RoleSeen::Any, &unattributed())
            .await
            .unwrap();
        directory.insert_key(&key, &unattributed()).await.unwrap();
        keys.push(key);
    }
    let earlier = Timestamp::from_unix_seconds(1_700_000_000);
    let revoked = crate::key::KeyChange::Revoked(earlier);
    directory
        .change_key(tenant.id, keys[1].id, &revoked, &unattributed())
        .await
        .unwrap();
    directory
        .remove_project(tenant.id, gone.id, NOW, &unattributed())
        .await
        .unwrap();
    for (key, project, revoked_at) in [
        (&keys[0], None, Some(NOW)),
        (&keys[1], None, Some(earlier)),
        (&keys[2], Some(stays.id), None),
        (&keys[3], None, None),
    ] {
        let found = directory.find_key(key.id).await.unwrap().unwrap();
        assert_eq!((found.project, found.revoked_at), (project, revoked_at));
    }
    let listed = directory.list_keys(tenant.id, None, 100).await.unwrap();
    assert_eq!(listed.len(), keys.len(), "their records stay");
}

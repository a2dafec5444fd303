//! Entering: one question tells what several would.

use super::{new_tenant, role, slug};
use crate::{
    Directory, DirectoryStore, DomainName, Entry, EntryQuery, Membership, MembershipStatus,
    Project, ProjectMembership, RoleDefinition, RoleSeen, TenantId, TenantKey, TenantRecord,
    UserId, testing::unattributed,
};

async fn project_of<D: DirectoryStore>(directory: &D, tenant: &TenantRecord) -> Project {
    let project = Project::new(tenant.id, slug("p"), "Ein '; \\ Projekt");
    directory
        .put_project(&project, &unattributed())
        .await
        .unwrap();
    project
}

/// An active member is told the record, the membership, the roles and the project with its role, by every
/// name that the tenant has.
pub async fn entering_tells_what_single_questions_tell<D: Directory + DirectoryStore>(
    directory: &D,
) {
    let tenant = new_tenant(directory).await;
    let (user, nobody) = (UserId::new(), TenantId::new());
    let member = Membership::new(tenant.id, user, role("editor"));
    directory
        .put_membership(&member, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    let own = RoleDefinition::new(role("reader")).allow("notes:read");
    directory
        .put_role(tenant.id, &own, &unattributed())
        .await
        .unwrap();
    let (project, other) = (
        project_of(directory, &tenant).await,
        project_of(directory, &tenant).await,
    );
    let in_project = ProjectMembership::new(tenant.id, project.id, user, role("reader"));
    directory
        .put_project_membership(&in_project, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    let domain: DomainName = format!("{}.example.org", tenant.slug).parse().unwrap();
    directory
        .bind_domain(tenant.id, &domain, &unattributed())
        .await
        .unwrap();
    // What would end a text in SQL, in both ways of writing one, and what is no ASCII.
    let odd = format!("a'; --\\'\"$$ö{}", tenant.id);
    directory
        .bind_external(tenant.id, "git'hub", &odd, &unattributed())
        .await
        .unwrap();

    let external = TenantKey::External {
        provider: "git'hub".into(),
        id: odd.into(),
    };
    let record = directory.find_tenant(&tenant.id.into()).await.unwrap();
    let names = [
        tenant.id.into(),
        tenant.slug.clone().into(),
        domain.into(),
        external,
    ];
    for name in names {
        let asked = EntryQuery::new(name.clone(), Some(user), nobody).in_project(Some(project.id));
        let told = Entry {
            tenant: record.clone(),
            membership: Some(member.clone()),
            roles: Some(vec![own.clone()]),
            project: Some((project.clone(), Some(role("reader")))),
        };
        let found = directory.find_entry(&asked).await.unwrap();
        assert_eq!(found, told, "by {name}");
        let known = asked.clone().without_roles_of(Some(tenant.id));
        let found = directory.find_entry(&known).await.unwrap();
        let told = Entry {
            roles: None,
            ..told
        };
        assert_eq!(found, told, "by {name}, whose roles are known");
        let another = asked.clone().without_roles_of(Some(nobody));
        let another = another.in_project(Some(other.id));
        let found = directory.find_entry(&another).await.unwrap();
        let told = Entry {
            roles: Some(vec![own.clone()]),
            project: Some((other.clone(), None)),
            ..told
        };
        assert_eq!(found, told, "by {name}, in a project without a role");
        // A visitor, or a service.
        let visitor = EntryQuery::new(name.clone(), None, nobody).in_project(Some(project.id));
        let found = directory.find_entry(&visitor).await.unwrap();
        let told = Entry {
            tenant: record.clone(),
            ..Entry::default()
        };
        assert_eq!(found, told, "by {name}, for nobody");
    }
}

/// Who is no active member is told which tenant it is and the membership, which say why not; whoever asks for
/// another's project, or for nobody's tenant, is told nothing of it.
pub async fn entering_tells_a_stranger_nothing<D: Directory + DirectoryStore>(directory: &D) {
    let (tenant, elsewhere) = (new_tenant(directory).await, new_tenant(directory).await);
    let own = RoleDefinition::new(role("reader"));
    directory
        .put_role(tenant.id, &own, &unattributed())
        .await
        .unwrap();
    let project = project_of(directory, &tenant).await;
    let foreign = project_of(directory, &elsewhere).await;
    let (stranger, suspended, member) = (UserId::new(), UserId::new(), UserId::new());
    let editor = |user| Membership::new(tenant.id, user, role("editor"));
    let withdrawn = editor(suspended).with_status(MembershipStatus::Suspended);
    directory
        .put_membership(&withdrawn, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    directory
        .put_membership(&editor(member), &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    let nobody = TenantId::new();
    let asked = |name: TenantKey, user| EntryQuery::new(name, Some(user), nobody);
    let record = directory.find_tenant(&tenant.id.into()).await.unwrap();
    for (user, membership) in [(stranger, None), (suspended, Some(withdrawn))] {
        let asked = asked(tenant.slug.clone().into(), user).in_project(Some(project.id));
        let mut found = directory.find_entry(&asked).await.unwrap();
        let known = found
            .tenant
            .take()
            .map(|found| (found.id, found.slug, found.status));
        let wanted = record
            .clone()
            .map(|record| (record.id, record.slug, record.status));
        assert_eq!(known, wanted);
        let told = Entry {
            membership,
            ..Entry::default()
        };
        assert_eq!(found, told);
    }
    let of_foreign = asked(tenant.slug.clone().into(), member).in_project(Some(foreign.id));
    let told = directory.find_entry(&of_foreign).await.unwrap();
    assert!(
        told.membership.is_some() && told.project.is_none(),
        "{told:?}"
    );
    // Nor is a member whose credential is another tenant's.
    let by_another = asked(tenant.id.into(), member)
        .in_project(Some(project.id))
        .confined_to(Some(elsewhere.id.into()));
    let told = directory.find_entry(&by_another).await.unwrap();
    assert!(
        told.tenant.is_some() && told.membership.is_none(),
        "{told:?}"
    );
    assert!(told.roles.is_none() && told.project.is_none(), "{told:?}");
    let unknown: [TenantKey; 2] = [slug("nobody").into(), TenantId::new().into()];
    for name in unknown {
        let asked = asked(name, member).in_project(Some(project.id));
        let told = directory.find_entry(&asked).await.unwrap();
        assert_eq!(told, Entry::default());
    }
}

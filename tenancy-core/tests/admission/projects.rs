//! Projects that not every member of the tenant may enter: to anybody else they are not there.

use serde_json::json;
use tenancy_core::{
    Actor, Admitted, AllowedTenants, Clock as _, EstablishedPrincipal, Membership, Outcome,
    Principal, Project, ProjectAccess, ProjectId, ProjectMembership, RouteNeeds, ServiceId,
    StoreError, StoreErrorKind, SystemRole, TenantContext, UserId,
    key::IssuedKey,
    testing::{FakeRequest, StoreDirectly as _, service},
};

use crate::{
    keys::{issue, with, with_keys},
    support::{World, answer},
};

const UNKNOWN: (u16, &str) = (404, "project-unknown");

/// Acme with two projects, `open` to its members and `closed` to all without a role in it, and with an admin and a member
/// who have none, and one who has one in each.
struct Acme {
    w: World,
    open: Project,
    closed: Project,
    admin: UserId,
    member: UserId,
    insider: UserId,
}

impl Acme {
    async fn new() -> Self {
        let w = World::over(|directory, builder| {
            with_keys(directory, builder).established_principals()
        })
        .await;
        let open = Project::new(w.acme.id, "open".parse().unwrap(), "Open");
        let closed = Project::new(w.acme.id, "closed".parse().unwrap(), "Closed")
            .with_access(ProjectAccess::RoleOnly);
        let [admin, member, insider] = [(); 3].map(|()| UserId::new());
        for project in [&open, &closed] {
            w.directory.put_project(project).await.unwrap();
        }
        for (user, role) in [
            (admin, SystemRole::Admin),
            (member, SystemRole::Member),
            (insider, SystemRole::Viewer),
        ] {
            let member = Membership::new(w.acme.id, user, role.name());
            w.directory.put_membership(&member).await.unwrap();
        }
        let acme = Self {
            w,
            open,
            closed,
            admin,
            member,
            insider,
        };
        for project in [&acme.open, &acme.closed] {
            acme.let_in(project, insider, SystemRole::Member).await;
        }
        acme
    }

    async fn let_in(&self, project: &Project, user: UserId, role: SystemRole) {
        let role = ProjectMembership::new(self.w.acme.id, project.id, user, role.name());
        let done = self.w.directory.put_project_membership(&role).await;
        done.unwrap();
    }

    fn asks(&self, user: UserId, project: ProjectId) -> FakeRequest {
        let request = FakeRequest::new("/notes").header("host", "acme.notes.example");
        let request = request.header("x-project-id", project.to_string());
        request.bearer(&self.w.token(user, json!({})))
    }

    async fn enters(&self, user: UserId, project: &Project) -> TenantContext {
        self.w.admit(&self.asks(user, project.id)).await.unwrap()
    }

    async fn key_of(&self, user: UserId, project: Option<&Project>) -> IssuedKey {
        let acme = self.w.acme.id;
        let mut new = tenancy_core::key::NewKey::new(acme, user, "a key", ["*".parse().unwrap()]);
        if let Some(project) = project {
            new = new.project(project.id);
        }
        issue(&self.w, new).await
    }
}

#[tokio::test]
async fn a_project_by_role_is_unknown_to_members_without_one() {
    let a = Acme::new().await;
    let kept = a.w.directory.directory();
    let kept = tenancy_core::ProjectDirectory::find_project(kept, a.w.acme.id, a.closed.id);
    assert_eq!(kept.await.unwrap().as_ref(), Some(&a.closed), "it is there");
    for user in [a.admin, a.member] {
        assert_eq!(a.w.refused(&a.asks(user, a.closed.id)).await, UNKNOWN);
        let in_open = a.enters(user, &a.open).await;
        assert_eq!(in_open.project_id(), Some(a.open.id));
    }
    for user in [a.w.alice, a.insider] {
        let context = a.enters(user, &a.closed).await;
        assert_eq!(context.project_id(), Some(a.closed.id));
        assert!(context.require("notes:write").is_ok());
    }
}

/// As one that does not exist: by the same words, from what is remembered, and after as many questions.
#[tokio::test]
async fn nothing_tells_a_project_by_role_from_one_that_is_not_there() {
    let mut asked = Vec::new();
    for there in [true, false] {
        let a = Acme::new().await;
        // Membership and roles are known, so that the project alone is asked for; then nothing is.
        let warm = a.enters(a.member, &a.open).await;
        drop(warm);
        let project = if there { a.closed.id } else { ProjectId::new() };
        let mut questions = Vec::new();
        for _ in 0..3 {
            let before = a.w.directory.questions();
            let refusal = a.w.admit(&a.asks(a.member, project)).await.unwrap_err();
            let body = serde_json::to_string(&refusal.problem()).unwrap();
            questions.push((a.w.directory.questions() - before, refusal.reason(), body));
        }
        // And by somebody of whom nothing is known yet.
        let before = a.w.directory.questions();
        assert_eq!(a.w.refused(&a.asks(a.admin, project)).await, UNKNOWN);
        questions.push((a.w.directory.questions() - before, "", String::new()));
        asked.push(questions);
    }
    let [there, unknown] = asked.try_into().unwrap();
    assert_eq!(there, unknown);
    assert!(there[0].0 > 0 && there[2].0 == 0, "{there:?}");
}

#[tokio::test]
async fn a_key_enters_as_its_creator() {
    let a = Acme::new().await;
    for (user, may) in [(a.admin, false), (a.insider, true), (a.w.alice, true)] {
        let key = a.key_of(user, None).await;
        let request = with(&key).header("x-project-id", a.closed.id.to_string());
        match a.w.admit(&request).await {
            Ok(context) => assert!(may && context.project_id() == Some(a.closed.id)),
            Err(refusal) => assert!(!may && refusal.reason() == UNKNOWN.1, "{refusal}"),
        }
    }
    // One that is confined to the project goes with the role of its creator.
    let confined = a.key_of(a.insider, Some(&a.closed)).await;
    a.w.admit(&with(&confined)).await.unwrap();
    let acme = a.w.acme.id;
    let left = a.w.tenancy.admin(service());
    left.remove_project_membership(acme, a.closed.id, a.insider)
        .await
        .unwrap();
    assert_eq!(a.w.refused(&with(&confined)).await, UNKNOWN);
}

/// They have no role anywhere: what a service account may do is said by its credential. A visitor has none.
#[tokio::test]
async fn service_accounts_enter_and_visitors_do_not() {
    let a = Acme::new().await;
    let bound = AllowedTenants::Bound(a.w.acme.id.into());
    let robot = Principal::new(Actor::Service(ServiceId::new()), bound, "machines");
    let at = a.w.clock.now();
    let request = |project: &Project| {
        let request = FakeRequest::new("/notes").header("host", "acme.notes.example");
        request.header("x-project-id", project.id.to_string())
    };
    let robots = request(&a.closed).established(EstablishedPrincipal::new(robot, at));
    let context = a.w.admit(&robots).await.unwrap();
    assert_eq!(context.project_id(), Some(a.closed.id));

    let needs = RouteNeeds::tenant().or_anonymous();
    let visitor = a.w.admit_as(&request(&a.open), needs).await;
    assert!(matches!(visitor, Ok(Admitted::Tenant(_))), "{visitor:?}");
    let visitor = a.w.admit_as(&request(&a.closed), needs).await;
    let unknown = FakeRequest::new("/notes").header("host", "acme.notes.example");
    let unknown = unknown.header("x-project-id", ProjectId::new().to_string());
    let unknown = answer(a.w.admit_as(&unknown, needs).await);
    assert_eq!(answer(visitor), unknown);
}

/// From the moment of the change on, also for what is held for long.
#[tokio::test]
async fn who_is_in_a_project_that_is_closed_is_out() {
    let a = Acme::new().await;
    let context = a.enters(a.member, &a.open).await;
    let mut watch = context.watch();
    let mut closed = a.open.clone();
    closed.access = ProjectAccess::RoleOnly;
    let admin = a.w.tenancy.admin(service());
    admin.put_project(&closed).await.unwrap();
    assert_eq!(a.w.refused(&a.asks(a.member, a.open.id)).await, UNKNOWN);
    let ended = watch.changed().await;
    assert_eq!(answer(ended), UNKNOWN);
    a.enters(a.insider, &a.open).await;
    // And in again, with what the role in the tenant allows.
    admin.put_project(&a.open).await.unwrap();
    a.enters(a.member, &a.open).await;
}

fn is_unknown<T: std::fmt::Debug>(done: Result<T, StoreError>) {
    let refused = done.expect_err("it is to be refused");
    assert_eq!(refused.kind(), StoreErrorKind::NotFound, "{refused}");
}

/// Whatever somebody may do in the tenant: a project that takes a role is managed by whom it admits.
#[tokio::test]
async fn a_project_by_role_is_managed_from_inside() {
    let a = Acme::new().await;
    let (acme, closed) = (a.w.acme.id, a.closed.id);
    let outside = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&a.w.token(a.admin, json!({})));
    let outside = a.w.admit(&outside).await.unwrap();
    let by_admin = a.w.tenancy.admin(outside.authority("notes:write").unwrap());
    let itself = ProjectMembership::new(acme, closed, a.admin, SystemRole::Viewer.name());
    let mut opened = a.closed.clone();
    opened.access = ProjectAccess::Members;

    is_unknown(by_admin.put_project_membership(&itself).await);
    assert_eq!(a.w.last_audit().outcome, Outcome::Refused);
    is_unknown(
        by_admin
            .remove_project_membership(acme, closed, a.insider)
            .await,
    );
    is_unknown(by_admin.list_project_members(acme, closed, None, 10).await);
    is_unknown(by_admin.put_project(&opened).await);
    is_unknown(by_admin.remove_project(acme, closed).await);
    is_unknown(
        by_admin
            .explain(acme, a.insider, Some(closed), "notes:read")
            .await,
    );
    // A project that is not there is answered for in the same way.
    let nowhere = ProjectId::new();
    let astray = ProjectMembership::new(acme, nowhere, a.admin, SystemRole::Viewer.name());
    is_unknown(by_admin.put_project_membership(&astray).await);
    is_unknown(by_admin.list_project_members(acme, nowhere, None, 10).await);
    // Also while the project is archived, when nobody enters it.
    let mut archived = a.closed.clone();
    archived.archived = true;
    a.w.directory.put_project(&archived).await.unwrap();
    is_unknown(by_admin.put_project_membership(&itself).await);
    is_unknown(by_admin.put_project(&opened).await);
    a.w.directory.put_project(&a.closed).await.unwrap();

    // Nothing of it was done.
    let inside = a.enters(a.insider, &a.closed).await;
    let by_insider = a.w.tenancy.admin(inside.authority("notes:write").unwrap());
    let members = by_insider.list_project_members(acme, closed, None, 10);
    let members: Vec<_> = members.await.unwrap().iter().map(|it| it.user).collect();
    assert_eq!(members, [a.insider]);

    // Who has a role there lets others in, and an owner does.
    by_insider.put_project_membership(&itself).await.unwrap();
    a.enters(a.admin, &a.closed).await;
    let owner = a.enters(a.w.alice, &a.closed).await;
    let by_owner = a.w.tenancy.admin(owner.authority("notes:write").unwrap());
    by_owner
        .remove_project_membership(acme, closed, a.admin)
        .await
        .unwrap();
    assert_eq!(a.w.refused(&a.asks(a.admin, closed)).await, UNKNOWN);
    by_owner.put_project(&opened).await.unwrap();
    a.enters(a.admin, &a.closed).await;
}

/// A member who may manage in one project alone changes nothing in another, and nothing of the tenant.
#[tokio::test]
async fn a_projects_own_manager_manages_that_project_alone() {
    let a = Acme::new().await;
    let acme = a.w.acme.id;
    let other = Project::new(acme, "other".parse().unwrap(), "Other");
    a.w.directory.put_project(&other).await.unwrap();
    let inside = a.enters(a.insider, &a.closed).await;
    let by_insider = a.w.tenancy.admin(inside.authority("notes:write").unwrap());
    let viewer = |project: &Project| {
        ProjectMembership::new(acme, project.id, a.member, SystemRole::Viewer.name())
    };
    by_insider
        .put_project_membership(&viewer(&a.closed))
        .await
        .unwrap();
    let elsewhere = by_insider.put_project_membership(&viewer(&other)).await;
    assert_eq!(elsewhere.unwrap_err().kind(), StoreErrorKind::Forbidden);
    let promoted = Membership::new(acme, a.insider, SystemRole::Member.name());
    let promoted = by_insider.put_membership(&promoted).await;
    assert_eq!(promoted.unwrap_err().kind(), StoreErrorKind::Forbidden);
}

#[tokio::test]
async fn projects_are_listed_to_whom_they_admit() {
    let a = Acme::new().await;
    let mut old = Project::new(a.w.acme.id, "old".parse().unwrap(), "Old");
    old.archived = true;
    a.w.directory.put_project(&old).await.unwrap();
    let foreign = Project::new(a.w.globex.id, "theirs".parse().unwrap(), "Theirs");
    a.w.directory.put_project(&foreign).await.unwrap();
    let sorted = |projects: &[&Project]| {
        let mut slugs: Vec<_> = projects.iter().map(|it| it.slug.to_string()).collect();
        slugs.sort();
        slugs
    };
    let slugs = |projects: Vec<Project>| sorted(&projects.iter().collect::<Vec<_>>());
    for (user, is_in) in [(a.member, false), (a.insider, true), (a.w.alice, true)] {
        let context = a.enters(user, &a.open).await;
        let own = a.w.tenancy.projects_of(&context, None, 100).await.unwrap();
        let mut wanted = vec![&a.open];
        wanted.extend(is_in.then_some(&a.closed));
        assert_eq!(slugs(own), sorted(&wanted));
        // One after the other, by id.
        let first = a.w.tenancy.projects_of(&context, None, 1).await.unwrap();
        let after = first.last().map(|it| it.id);
        let rest = a.w.tenancy.projects_of(&context, after, 100).await.unwrap();
        assert_eq!(slugs([first, rest].concat()), sorted(&wanted));

        wanted.push(&old);
        let admin = a.w.tenancy.admin(context.authority("notes:read").unwrap());
        let listed = admin.list_projects(a.w.acme.id, None, 100).await.unwrap();
        assert_eq!(slugs(listed), sorted(&wanted));
    }
    let all = a.w.tenancy.admin(service());
    let all = all.list_projects(a.w.acme.id, None, 100).await.unwrap();
    assert_eq!(slugs(all), sorted(&[&a.open, &a.closed, &old]));

    // A key that is confined to one is told of that one, and a visitor of none.
    let confined = a.key_of(a.insider, Some(&a.closed)).await;
    let confined = a.w.admit(&with(&confined)).await.unwrap();
    let own = async |after| {
        a.w.tenancy
            .projects_of(&confined, after, 100)
            .await
            .unwrap()
    };
    assert_eq!(slugs(own(None).await), ["closed"]);
    assert!(own(Some(a.closed.id)).await.is_empty());
    let needs = RouteNeeds::tenant().or_anonymous();
    let visitor = FakeRequest::new("/notes").header("host", "acme.notes.example");
    let Ok(Admitted::Tenant(visitor)) = a.w.admit_as(&visitor, needs).await else {
        panic!("a visitor is admitted");
    };
    let told = a.w.tenancy.projects_of(&visitor, None, 100).await;
    assert_eq!(told.unwrap_err().kind(), StoreErrorKind::Forbidden);
    let elsewhere = World::new().await;
    let told = elsewhere.tenancy.projects_of(&confined, None, 100).await;
    assert_eq!(told.unwrap_err().kind(), StoreErrorKind::Forbidden);
}

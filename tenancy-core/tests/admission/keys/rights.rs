//! What a key may do: its creator's rights of now, within its scopes.

use serde_json::json;
use tenancy_core::{
    Grant, Membership, MembershipStatus, Outcome, PermissionRegistry, Project, ProjectMembership,
    StoreError, StoreErrorKind, SystemRole, UserId, jwt::JwtAuthenticator, key::NewKey,
    testing::FakeRequest, testing::StoreDirectly as _,
};

use super::{alices, api_keys, issue, with, world};
use crate::support::{ISSUER, World, answer, key as token_key};

fn readers(w: &World) -> NewKey {
    NewKey::new(w.acme.id, w.alice, "reads", ["notes:read".parse().unwrap()])
}

#[tokio::test]
async fn scopes_only_narrow_the_creators_live_rights() {
    let w = world().await;
    let (all, reads) = (issue(&w, alices(&w)).await, issue(&w, readers(&w)).await);
    let writes = NewKey::new(w.acme.id, w.alice, "w", ["notes:write".parse().unwrap()]);
    let writes = issue(&w, writes).await;
    let none = issue(&w, NewKey::new(w.acme.id, w.alice, "none", [])).await;
    let may = async |key, permission: &str| {
        let context = w.admit(&with(key)).await.unwrap();
        context.require(permission).is_ok()
    };
    let rights = async || {
        let mut rights = Vec::new();
        for key in [&all, &reads, &writes, &none] {
            rights.push((may(key, "notes:read").await, may(key, "notes:write").await));
        }
        rights
    };
    assert_eq!(
        rights().await,
        [(true, true), (true, false), (false, true), (false, false)]
    );
    let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&viewer)
        .await
        .unwrap();
    assert_eq!(
        rights().await,
        [(true, false), (true, false), (false, false), (false, false)]
    );
}

#[tokio::test]
async fn a_key_has_no_role_and_is_no_user() {
    let w = world().await;
    let key = issue(&w, readers(&w)).await;
    let context = w.admit(&with(&key)).await.unwrap();
    assert_eq!((context.role(), context.user_id()), (None, None));
    assert_eq!(context.principal().on_behalf_of, Some(w.alice));
    assert_eq!(
        answer(context.require("notes:write")),
        (403, "permission-not-held")
    );
    let actor = w.last_audit().actor.unwrap().to_string();
    assert_eq!(actor, format!("key:{}", key.record().id));
}

#[tokio::test]
async fn a_key_whose_creator_left_is_revoked() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    assert!(w.admit(&with(&key)).await.is_ok());
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    let suspended = Membership::new(w.acme.id, w.alice, SystemRole::Owner.name())
        .with_status(MembershipStatus::Suspended);
    admin.put_membership(&suspended).await.unwrap();
    assert_eq!(w.refused(&with(&key)).await, (404, "membership-not-active"));
    admin.remove_membership(w.acme.id, w.alice).await.unwrap();
    assert_eq!(w.refused(&with(&key)).await, (401, "key-revoked"));
}

#[tokio::test]
async fn a_suspended_tenants_keys_are_told_what_its_members_are() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    assert!(w.admit(&with(&key)).await.is_ok());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .suspend(w.acme.id)
        .await
        .unwrap();
    assert_eq!(w.refused(&with(&key)).await, (403, "tenant-suspended"));
    w.tenancy
        .admin(tenancy_core::testing::service())
        .activate(w.acme.id)
        .await
        .unwrap();
    assert!(w.admit(&with(&key)).await.is_ok());
}

#[tokio::test]
async fn a_key_of_a_project_is_of_no_other() {
    let w = world().await;
    let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&viewer)
        .await
        .unwrap();
    let mut projects = Vec::new();
    for slug in ["web", "mobile"] {
        let project = Project::new(w.acme.id, slug.parse().unwrap(), slug);
        w.directory.put_project(&project).await.unwrap();
        projects.push(project);
    }
    let (own, other) = (&projects[0], &projects[1]);
    let member = ProjectMembership::new(w.acme.id, own.id, w.alice, SystemRole::Member.name());
    w.directory.put_project_membership(&member).await.unwrap();
    let key = issue(&w, alices(&w).project(own.id)).await;
    let context = w.admit(&with(&key)).await.unwrap();
    assert_eq!(context.project_id(), Some(own.id));
    assert!(
        context.require("notes:write").is_ok(),
        "by the creator's role in the project"
    );
    let naming = |id: String| with(&key).header("x-project-id", id);
    for _ in 0..3 {
        assert!(w.admit(&naming(own.id.to_string())).await.is_ok());
        let refused = w.refused(&naming(other.id.to_string())).await;
        assert_eq!(refused, (404, "project-not-of-credential"));
    }
    let again = w.tenancy.revalidate(&context).await.unwrap();
    assert_eq!(again.project_id(), Some(own.id));
    let mut archived = own.clone();
    archived.archived = true;
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_project(&archived)
        .await
        .unwrap();
    assert_eq!(w.refused(&with(&key)).await, (404, "project-unknown"));
}

#[tokio::test]
async fn nobody_issues_more_than_they_hold_and_keys_issue_none() {
    let w = world().await;
    let host = "acme.notes.example";
    let write = || ["notes:write".parse().unwrap()];
    let owner = w.admit(&w.alice_at(host)).await.unwrap();
    let new = NewKey::in_context(&owner, "w", write()).unwrap();
    let key = issue(&w, new).await;
    assert_eq!(
        (key.record().tenant, key.record().creator),
        (w.acme.id, w.alice)
    );
    let by_key = w.admit(&with(&key)).await.unwrap();
    assert_eq!(
        answer(NewKey::in_context(&by_key, "w", write())),
        (403, "permission-not-held")
    );
    let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&viewer)
        .await
        .unwrap();
    let viewer = w.admit(&w.alice_at(host)).await.unwrap();
    assert_eq!(answer(NewKey::in_context(&viewer, "w", write())).0, 403);
    assert_eq!(
        answer(NewKey::in_context(
            &viewer,
            "w",
            ["notes:*".parse().unwrap()]
        ))
        .0,
        403
    );
    assert!(NewKey::in_context(&viewer, "all that I may", ["*".parse().unwrap()]).is_ok());
}

/// A world where tokens say what they may be used for, and perhaps in which project.
async fn world_of_narrow_tokens() -> World {
    let permissions = PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .build()
        .unwrap();
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(token_key())
        .scope_claim("scope", &permissions)
        .map_principal(|claims, mut principal| {
            let project = claims.get("project").and_then(|project| project.as_str());
            principal.project = project.map(|project| project.parse().unwrap());
            Ok(principal)
        })
        .build()
        .unwrap();
    World::over(|directory, builder| builder.authenticator(tokens).keys(api_keys(directory))).await
}

#[tokio::test]
async fn a_narrow_token_issues_no_key_for_all_that_its_user_may_do() {
    let w = world_of_narrow_tokens().await;
    for (scope, asked, issued) in [
        ("notes:read", "notes:read", true),
        ("notes:read", "notes:*", false),
        ("notes:read", "*", false),
        ("", "*", false),
        ("notes:read notes:write", "*", true),
    ] {
        let token = FakeRequest::new("/notes")
            .header("host", "acme.notes.example")
            .bearer(&w.token(w.alice, json!({ "scope": scope })));
        let context = w.admit(&token).await.unwrap();
        let new = NewKey::in_context(&context, "a key", [asked.parse().unwrap()]);
        assert_eq!(new.is_ok(), issued, "{asked} with `{scope}`");
        if !issued {
            assert_eq!(answer(new), (403, "permission-not-held"));
        }
    }
}

#[tokio::test]
async fn a_token_of_a_project_issues_keys_of_that_project() {
    let w = world_of_narrow_tokens().await;
    let project = Project::new(w.acme.id, "web".parse().unwrap(), "web");
    let other = Project::new(w.acme.id, "mobile".parse().unwrap(), "mobile");
    for project in [&project, &other] {
        w.directory.put_project(project).await.unwrap();
    }
    let claims = json!({ "scope": "notes:read", "project": project.id.to_string() });
    let token = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&w.token(w.alice, claims));
    let context = w.admit(&token).await.unwrap();
    let new = || NewKey::in_context(&context, "a key", ["notes:read".parse().unwrap()]).unwrap();
    let key = issue(&w, new()).await;
    assert_eq!(key.record().project, Some(project.id));
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let refused = keys.issue(new().project(other.id)).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
}

/// What a key does counts as its creator's doing. So nobody else makes one that does more, whoever manages keys; and its
/// creator gives it no more than the creator holds.
#[tokio::test]
async fn its_creator_alone_lets_a_key_do_more() {
    let w = world().await;
    let carol = Membership::new(w.acme.id, UserId::new(), SystemRole::Viewer.name());
    w.directory.put_membership(&carol).await.unwrap();
    let acme = w.acme.id;
    let grants =
        |names: &[&str]| -> Vec<Grant> { names.iter().map(|name| name.parse().unwrap()).collect() };
    let by = async |request: FakeRequest| {
        let context = w.admit(&request).await.unwrap();
        w.tenancy
            .keys()
            .unwrap()
            .by(context.authority("notes:read").unwrap())
    };
    let user = |user| {
        let request = FakeRequest::new("/notes").header("host", "acme.notes.example");
        request.bearer(&w.token(user, json!({})))
    };
    let new = |creator, scopes: &[&str]| NewKey::new(acme, creator, "a key", grants(scopes));
    fn refused<T: std::fmt::Debug>(done: Result<T, StoreError>) {
        assert_eq!(done.unwrap_err().kind(), StoreErrorKind::Forbidden);
    }
    let (alices, carols) = (by(user(w.alice)).await, by(user(carol.user)).await);
    // An owner in a member's name, a member in an owner's, and a member with what only others hold.
    refused(alices.issue(new(carol.user, &["notes:read"])).await);
    refused(carols.issue(new(w.alice, &["notes:read"])).await);
    let entry = w.last_audit();
    assert_eq!(
        (&*entry.action, entry.outcome),
        ("key.issue", Outcome::Refused)
    );
    for more in [
        &["notes:write"][..],
        &["notes:read", "notes:write"],
        &["notes:*"],
    ] {
        refused(carols.issue(new(carol.user, more)).await);
    }
    assert!(alices.list(acme, None, 10).await.unwrap().is_empty());
    let reads = carols
        .issue(new(carol.user, &["notes:read"]))
        .await
        .unwrap();
    tenancy_logwatch::issued_key(&reads);
    let id = reads.record().id;

    let minute = std::time::Duration::from_secs(60);
    refused(alices.rotate(acme, id, minute).await);
    refused(alices.set_scopes(acme, id, grants(&["notes:write"])).await);
    refused(carols.set_scopes(acme, id, grants(&["notes:write"])).await);
    alices
        .set_scopes(acme, id, [])
        .await
        .expect("to take away is for whoever manages keys");
    refused(alices.set_scopes(acme, id, grants(&["notes:read"])).await);
    carols
        .set_scopes(acme, id, grants(&["notes:read"]))
        .await
        .unwrap();

    // A key has none made, for itself or another one.
    let everything = issue(&w, new(w.alice, &["*"])).await;
    let by_key = by(with(&everything)).await;
    refused(by_key.issue(new(w.alice, &["notes:read"])).await);
    refused(by_key.rotate(acme, everything.record().id, minute).await);
    refused(
        by_key
            .set_scopes(acme, id, grants(&["notes:read", "notes:write"]))
            .await,
    );

    let rotated = carols.rotate(acme, id, minute).await.unwrap();
    tenancy_logwatch::issued_key(&rotated);
    alices.revoke(acme, rotated.record().id).await.unwrap();
    assert_eq!(w.refused(&with(&rotated)).await, (401, "key-revoked"));
}

/// What a role in a project adds is given to keys of that project alone.
#[tokio::test]
async fn what_a_project_adds_is_given_to_keys_of_that_project() {
    let w = world().await;
    let project = Project::new(w.acme.id, "web".parse().unwrap(), "web");
    w.directory.put_project(&project).await.unwrap();
    let carol = Membership::new(w.acme.id, UserId::new(), SystemRole::Viewer.name());
    w.directory.put_membership(&carol).await.unwrap();
    let role = SystemRole::Member.name();
    let role = ProjectMembership::new(w.acme.id, project.id, carol.user, role);
    w.directory.put_project_membership(&role).await.unwrap();
    let request = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .header("x-project-id", project.id.to_string())
        .bearer(&w.token(carol.user, json!({})));
    let context = w.admit(&request).await.unwrap();
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(context.authority("notes:read").unwrap());
    let new = || NewKey::in_context(&context, "w", ["notes:write".parse().unwrap()]).unwrap();
    let whole = keys.issue(new()).await.unwrap_err();
    assert_eq!(whole.kind(), StoreErrorKind::Forbidden);
    assert!(whole.to_string().contains("confine the key"), "{whole}");
    let confined = keys.issue(new().project(project.id)).await.unwrap();
    tenancy_logwatch::issued_key(&confined);
    let context = w.admit(&with(&confined)).await.unwrap();
    assert!(context.require("notes:write").is_ok());
}

//! Roles that make no sense, or would take too much: each has one answer.

use serde_json::json;
use tenancy_core::{
    Membership, Outcome, Project, ProjectMembership, RoleDefinition, RoleName, StoreErrorKind,
    SystemRole, UserId,
    testing::{FakeRequest, StoreDirectly as _, service},
};

use crate::support::World;

fn role(name: &str) -> RoleDefinition {
    RoleDefinition::new(name.parse().unwrap())
}

/// A name is what it looks like: nothing that is not seen, and nothing that looks like another.
#[test]
fn a_name_with_what_is_not_seen_is_none() {
    let long = "a".repeat(65);
    for text in [
        "",
        " ",
        "admin ",
        "ad min",
        "admin\n",
        "admin\0",
        "\u{1b}[31mroot",
        "adm\u{200b}in",
        "ädmin",
        "аdmin",
        "Admin",
        "admin:*",
        "*",
        "../owner",
        &long,
    ] {
        let refused = text.parse::<RoleName>().unwrap_err().to_string();
        assert!(
            refused.contains("is not a role name; use 1 to 64"),
            "{refused}"
        );
        let stored = json!({ "name": text, "allow": ["notes:read"] });
        assert!(
            serde_json::from_value::<RoleDefinition>(stored).is_err(),
            "{text:?}"
        );
    }
}

#[tokio::test]
async fn a_role_that_makes_no_sense_is_not_stored() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    admin
        .put_role(w.acme.id, &role("reader").allow("notes:read"))
        .await
        .unwrap();
    let mut includes_many = role("collector");
    let mut includes_more = role("hoarder");
    for number in 0..200 {
        includes_many = includes_many.include(format!("r{number}").parse::<RoleName>().unwrap());
    }
    for _ in 0..257 {
        includes_more = includes_more.include("reader".parse::<RoleName>().unwrap());
    }
    let itself = role("narcissus").include("narcissus".parse::<RoleName>().unwrap());
    for (definition, told) in [
        (
            itself,
            "leads into a cycle of includes, `narcissus` → `narcissus`",
        ),
        (includes_many, "includes `r0`, which is not defined"),
        (includes_more, "lists more than 256 includes and grants"),
        (
            role("owner").deny("*"),
            "has the name of a system or application role",
        ),
        (
            role("admin").allow("notes:*"),
            "has the name of a system or application role",
        ),
        (role("broken").deny("notes:\u{7}"), "which is not a grant"),
    ] {
        let refused = admin.put_role(w.acme.id, &definition).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
        assert!(refused.to_string().contains(told), "{refused}");
        assert_eq!(w.last_audit().outcome, Outcome::Failed);
    }
    let kept = admin.list_roles(w.acme.id).await.unwrap();
    assert_eq!(
        kept.iter()
            .map(|role| role.name.as_str())
            .collect::<Vec<_>>(),
        ["reader"]
    );
}

/// 127 roles of a tenant's own, which one more includes: it is understood, and takes no longer than that.
#[tokio::test]
async fn a_role_may_include_all_others() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    let mut all = role("all");
    for number in 0..127 {
        let other = role(&format!("r{number}")).allow("notes:read");
        let other = if number == 126 {
            other.deny("notes:write")
        } else {
            other
        };
        w.directory.put_role(w.acme.id, &other).await.unwrap();
        all = all.include(other.name);
    }
    admin.put_role(w.acme.id, &all).await.unwrap();
    let one_more = admin
        .put_role(w.acme.id, &role("one-more"))
        .await
        .unwrap_err();
    assert_eq!(one_more.kind(), StoreErrorKind::Invalid);
    let user = UserId::new();
    let member = Membership::new(w.acme.id, user, all.name.clone());
    admin.put_membership(&member).await.unwrap();
    let request = FakeRequest::new("/").header("host", "acme.notes.example");
    let request = request.bearer(&w.token(user, json!({})));
    let context = w.admit(&request).await.unwrap();
    assert!(context.require("notes:read").is_ok());
    assert!(
        context.require("notes:write").is_err(),
        "one of them denies it"
    );
}

/// A tenant may define a role that denies everything, and who holds less than an owner gives it to no owner.
#[tokio::test]
async fn nobody_shuts_an_owner_out() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    let nothing = role("nothing").deny("*");
    admin.put_role(w.acme.id, &nothing).await.unwrap();
    let roadmap = Project::new(w.acme.id, "roadmap".parse().unwrap(), "Roadmap");
    admin.put_project(&roadmap).await.unwrap();
    let manager = UserId::new();
    let member = Membership::new(w.acme.id, manager, SystemRole::Admin.name());
    admin.put_membership(&member).await.unwrap();

    let request = FakeRequest::new("/").header("host", "acme.notes.example");
    let context = w
        .admit(&request.bearer(&w.token(manager, json!({}))))
        .await
        .unwrap();
    let by_manager = w.tenancy.admin(context.authority("notes:read").unwrap());
    let demoted = Membership::new(w.acme.id, w.alice, nothing.name.clone());
    let refused = by_manager.put_membership(&demoted).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
    let removed = by_manager
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap_err();
    assert_eq!(removed.kind(), StoreErrorKind::Forbidden);
    // An owner does so to another one, or to itself, and by that name it is in the trail.
    let owner = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    assert!(
        owner.require("notes:write").is_ok(),
        "the owner is as before"
    );
    let by_owner = w.tenancy.admin(owner.authority("notes:write").unwrap());
    let within = ProjectMembership::new(w.acme.id, roadmap.id, w.alice, nothing.name.clone());
    by_owner.put_project_membership(&within).await.unwrap();
    let in_project = w.alice_at("acme.notes.example");
    let in_project = in_project.header("x-project-id", roadmap.id.to_string());
    let in_project = w.admit(&in_project).await.unwrap();
    assert!(in_project.permissions().is_empty());
    let why = in_project.explain("notes:read").await.unwrap().to_string();
    assert_eq!(
        why,
        "in the project, `nothing` is denied `notes:read` by `*` of `nothing`"
    );
}

/// One name in two tenants, each with a definition of its own, and one user who has it in both: each tenant's counts there.
#[tokio::test]
async fn a_role_of_one_name_is_each_tenants_own() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    let carol = UserId::new();
    let boss: RoleName = "boss".parse().unwrap();
    for (tenant, definition) in [
        (w.acme.id, role("boss").allow("notes:*")),
        (
            w.globex.id,
            role("boss").allow("notes:read").deny("notes:write"),
        ),
    ] {
        admin.put_role(tenant, &definition).await.unwrap();
        let member = Membership::new(tenant, carol, boss.clone());
        admin.put_membership(&member).await.unwrap();
    }
    let at = |host: &str| {
        let request = FakeRequest::new("/").header("host", format!("{host}.notes.example"));
        request.bearer(&w.token(carol, json!({})))
    };
    // In turn, so that what is remembered of the one is there when the other is asked.
    for _ in 0..3 {
        let acme = w.admit(&at("acme")).await.unwrap();
        assert!(acme.require("notes:write").is_ok());
        let globex = w.admit(&at("globex")).await.unwrap();
        assert!(globex.require("notes:read").is_ok());
        assert!(globex.require("notes:write").is_err());
    }
    // The one is gone, and the other is as it was.
    admin.remove_role(w.acme.id, &boss).await.unwrap();
    let acme = w.admit(&at("acme")).await.unwrap();
    assert!(acme.permissions().is_empty());
    let globex = w.admit(&at("globex")).await.unwrap();
    assert!(globex.require("notes:read").is_ok());
}

//! The access matrix: what each role may do in each place, by each kind of credential. It stands in `access.golden`.
//!
//! `UPDATE_GOLDEN=1` writes the file anew; read the difference before you commit it.

use std::fmt::Write as _;

use serde_json::json;
use tenancy_core::{
    Actor, Admitted, AllowedTenants, Clock as _, EstablishedPrincipal, Membership,
    PermissionRegistry, Principal, Project, ProjectAccess, ProjectMembership, RoleDefinition,
    RouteNeeds, ServiceId, SystemRole, TenantContext, UserId,
    key::{IssuedKey, NewKey},
    testing::{FakeRequest, StoreDirectly as _},
};

use crate::{
    keys::{issue, with_keys},
    support::World,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/admission/access.golden");

/// A letter, a permission, and the lowest system role that holds it.
const PERMISSIONS: &[(char, &str, Option<SystemRole>)] = &[
    ('r', "notes:read", Some(SystemRole::Viewer)),
    ('w', "notes:write", Some(SystemRole::Member)),
    ('p', "notes:purge", None),
    ('m', "members:manage", Some(SystemRole::Admin)),
    ('b', "billing:manage", Some(SystemRole::Owner)),
];

/// Roles in the tenant. Nobody defined `gone`; `broken` has a denial that is no grant.
const ROLES: &[&str] = &[
    "viewer", "member", "admin", "owner", "editor", "auditor", "broken", "gone",
];

/// A project of acme: what it is called, whom it admits, and the role that everybody has in it.
const PROJECTS: &[(&str, ProjectAccess, Option<&str>)] = &[
    ("open, no role in it", ProjectAccess::Members, None),
    ("open, member in it", ProjectAccess::Members, Some("member")),
    ("open, editor in it", ProjectAccess::Members, Some("editor")),
    (
        "open, auditor in it",
        ProjectAccess::Members,
        Some("auditor"),
    ),
    ("by role, no role in it", ProjectAccess::RoleOnly, None),
    (
        "by role, viewer in it",
        ProjectAccess::RoleOnly,
        Some("viewer"),
    ),
    (
        "by role, broken in it",
        ProjectAccess::RoleOnly,
        Some("broken"),
    ),
];

struct Place {
    name: String,
    host: &'static str,
    project: Option<String>,
}

/// Somebody, and what this one may send.
struct Caller {
    name: &'static str,
    user: UserId,
    whole: IssuedKey,
    narrow: IssuedKey,
}

fn own_roles() -> [RoleDefinition; 3] {
    let new = |name: &str| RoleDefinition::new(name.parse().unwrap());
    [
        new("editor").include(SystemRole::Viewer).allow("notes:*"),
        new("auditor")
            .include(SystemRole::Viewer)
            .deny("notes:write")
            .deny("notes:purge"),
        new("broken").allow("notes:*").deny("notes:w*"),
    ]
}

async fn world() -> (World, Vec<Place>, Vec<Caller>) {
    let declare = |builder, (_, name, lowest): &(char, &str, Option<SystemRole>)| {
        let builder: tenancy_core::PermissionRegistryBuilder = builder;
        builder.permission(*name, *lowest)
    };
    let permissions = PERMISSIONS
        .iter()
        .fold(PermissionRegistry::builder(), declare);
    let permissions = permissions.build().unwrap();
    let w = World::over(|directory, builder| {
        with_keys(directory, builder)
            .permissions(permissions)
            .established_principals()
    })
    .await;
    for role in own_roles() {
        w.directory.put_role(w.acme.id, &role).await.unwrap();
    }
    let mut callers = Vec::new();
    for name in ROLES.iter().copied() {
        let user = UserId::new();
        let member = Membership::new(w.acme.id, user, name.parse().unwrap());
        w.directory.put_membership(&member).await.unwrap();
        callers.push(caller(&w, name, user).await);
    }
    // A former member, who has roles in projects no more. Keys were issued before.
    let left = UserId::new();
    let member = Membership::new(w.acme.id, left, SystemRole::Owner.name());
    w.directory.put_membership(&member).await.unwrap();
    callers.push(caller(&w, "(left)", left).await);

    let at = |name: &str, host, project: Option<String>| Place {
        name: name.to_owned(),
        host,
        project,
    };
    let mut places = vec![at("the tenant as a whole", "acme", None)];
    for (number, (name, access, role)) in PROJECTS.iter().enumerate() {
        let slug = format!("p{number}").parse().unwrap();
        let project = Project::new(w.acme.id, slug, *name).with_access(*access);
        w.directory.put_project(&project).await.unwrap();
        for caller in &callers {
            let Some(role) = role else { continue };
            let role = role.parse().unwrap();
            let within = ProjectMembership::new(w.acme.id, project.id, caller.user, role);
            w.directory.put_project_membership(&within).await.unwrap();
        }
        places.push(at(
            &format!("a project: {name}"),
            "acme",
            Some(project.id.to_string()),
        ));
    }
    w.directory
        .remove_membership(w.acme.id, left)
        .await
        .unwrap();
    let theirs = Project::new(w.globex.id, "theirs".parse().unwrap(), "Theirs");
    w.directory.put_project(&theirs).await.unwrap();
    let theirs = Some(theirs.id.to_string());
    places.push(at("a project of another tenant", "acme", theirs.clone()));
    places.push(at("another tenant", "globex", None));
    places.push(at("another tenant and its project", "globex", theirs));
    (w, places, callers)
}

async fn caller(w: &World, name: &'static str, user: UserId) -> Caller {
    let key = async |scope: &str| {
        let new = NewKey::new(w.acme.id, user, "a key", [scope.parse().unwrap()]);
        issue(w, new).await
    };
    Caller {
        name,
        user,
        whole: key("*").await,
        narrow: key("notes:read").await,
    }
}

/// What is answered to a request: the letters of what is allowed, or the status.
async fn cell(w: &World, request: FakeRequest, place: &Place, needs: RouteNeeds) -> String {
    let mut request = request.header("host", format!("{}.notes.example", place.host));
    if let Some(project) = &place.project {
        request = request.header("x-project-id", project);
    }
    match w.admit_as(&request, needs).await {
        Ok(Admitted::Tenant(context)) => letters(&context).await,
        Ok(Admitted::NoTenant(_)) => "no tenant".to_owned(),
        Err(refusal) => refusal.kind().status().to_string(),
    }
}

async fn letters(context: &TenantContext) -> String {
    let mut letters = String::new();
    for (letter, permission, _) in PERMISSIONS {
        let allowed = context.require(permission).is_ok();
        letters.push(if allowed { *letter } else { '-' });
        // What is told is what is decided.
        let why = context.explain(permission).await.unwrap();
        assert_eq!(why.is_allowed(), allowed, "{context:?}: {why}");
    }
    letters
}

async fn matrix() -> String {
    let (w, places, callers) = world().await;
    let mut matrix = String::new();
    for (letter, permission, lowest) in PERMISSIONS {
        let lowest = lowest.map_or("no system role", SystemRole::as_str);
        writeln!(matrix, "{letter}  {permission}, from {lowest}").unwrap();
    }
    let bearer = |key: &IssuedKey| FakeRequest::new("/").bearer(key.expose());
    for place in &places {
        writeln!(matrix, "\n{}", place.name).unwrap();
        writeln!(matrix, "    {:16} token  key *  key notes:read", "").unwrap();
        let needs = RouteNeeds::tenant();
        for caller in &callers {
            let token = FakeRequest::new("/").bearer(&w.token(caller.user, json!({})));
            let token = cell(&w, token, place, needs).await;
            let whole = cell(&w, bearer(&caller.whole), place, needs).await;
            let narrow = cell(&w, bearer(&caller.narrow), place, needs).await;
            writeln!(
                matrix,
                "    {:16} {token:5}  {whole:5}  {narrow}",
                caller.name
            )
            .unwrap();
        }
        let bound = AllowedTenants::Bound(w.acme.id.into());
        let mut robot = Principal::new(Actor::Service(ServiceId::new()), bound, "machines");
        robot.scope = w.tenancy.permissions().scope(["notes:*"]);
        let robot = EstablishedPrincipal::new(robot, w.clock.now());
        let robot = FakeRequest::new("/").established(robot);
        let robot = cell(&w, robot, place, needs).await;
        let visitor = cell(&w, FakeRequest::new("/"), place, needs).await;
        let open = cell(&w, FakeRequest::new("/"), place, needs.or_anonymous()).await;
        writeln!(matrix, "    service account of acme, notes:*  {robot}").unwrap();
        writeln!(
            matrix,
            "    nobody  {visitor}, on a route for visitors {open}"
        )
        .unwrap();
    }
    matrix
}

#[tokio::test]
async fn each_role_may_do_in_each_place_what_is_written_down() {
    let matrix = matrix().await;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &matrix).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    for (number, (line, wanted)) in matrix.lines().zip(golden.lines()).enumerate() {
        assert_eq!(line, wanted, "line {} of access.golden", number + 1);
    }
    assert_eq!(matrix.lines().count(), golden.lines().count());
}

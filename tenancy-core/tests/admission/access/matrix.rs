//! The access matrix of an engine, whatever store it is over.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fmt::Write as _;

use tenancy_core::{
    Actor, Admission, Admitted, AllowedTenants, AuditFilter, Authority, EstablishedPrincipal,
    ImpersonationId, KeyId, MemberFilter, Membership, NewImpersonation, Operator, OperatorContext,
    OperatorRight, OperatorRole, PermissionRegistry, PermissionRegistryBuilder, Principal, Project,
    ProjectAccess, ProjectMembership, RequestView, RoleDefinition, RouteNeeds, ServiceId, Settings,
    StoreError, StoreErrorKind, SystemRole, Tenancy, TenantContext, TenantId, UserId,
    key::{IssuedKey, NewKey},
    testing::{FakeRequest, StoreDirectly, service},
};

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

/// The engine, its two tenants and who makes tokens for it.
pub(crate) struct Stand {
    pub(crate) tenancy: Tenancy,
    /// Each tenant with an owner.
    pub(crate) acme: (TenantId, UserId),
    pub(crate) globex: (TenantId, UserId),
    /// A token of a user.
    pub(crate) token: Box<dyn Fn(UserId) -> String>,
    /// The issuer of the staff, and its token of somebody.
    pub(crate) staff: (&'static str, Box<dyn Fn(UserId) -> String>),
    /// Has the log searched for a key.
    pub(crate) issued: fn(&IssuedKey),
}

struct Place {
    name: String,
    host: &'static str,
    project: Option<String>,
}

/// Somebody, and what this one may send, or an operator in this one's place.
struct Caller {
    name: &'static str,
    user: UserId,
    whole: IssuedKey,
    narrow: IssuedKey,
    operator: String,
}

/// The permissions that the engine has to be built with.
pub(crate) fn permissions() -> PermissionRegistry {
    let declare = |builder, (_, name, lowest): &(char, &str, Option<SystemRole>)| {
        let builder: PermissionRegistryBuilder = builder;
        builder.permission(*name, *lowest)
    };
    let permissions = PERMISSIONS.iter();
    let permissions = permissions.fold(PermissionRegistry::builder(), declare);
    permissions.build().unwrap()
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

async fn fill<D: StoreDirectly>(stand: &Stand, directory: &D) -> (Vec<Place>, Vec<Caller>) {
    let (acme, globex) = (stand.acme.0, stand.globex.0);
    for role in own_roles() {
        StoreDirectly::put_role(directory, acme, &role)
            .await
            .unwrap();
    }
    let mia = operator(stand, OperatorRole::Support).await;
    let mut callers = Vec::new();
    for name in ROLES.iter().copied() {
        let user = UserId::new();
        let member = Membership::new(acme, user, name.parse().unwrap());
        StoreDirectly::put_membership(directory, &member)
            .await
            .unwrap();
        callers.push(caller(stand, &mia, name, user).await);
    }
    // A former member, who has roles in projects no more. Keys were issued before.
    let left = UserId::new();
    let member = Membership::new(acme, left, SystemRole::Owner.name());
    StoreDirectly::put_membership(directory, &member)
        .await
        .unwrap();
    callers.push(caller(stand, &mia, "(left)", left).await);

    let at = |name: &str, host, project: Option<String>| Place {
        name: name.to_owned(),
        host,
        project,
    };
    let mut places = vec![at("the tenant as a whole", "acme", None)];
    for (number, (name, access, role)) in PROJECTS.iter().enumerate() {
        let slug = format!("p{number}").parse().unwrap();
        let project = Project::new(acme, slug, *name).with_access(*access);
        StoreDirectly::put_project(directory, &project)
            .await
            .unwrap();
        for caller in &callers {
            let Some(role) = role else { continue };
            let role = role.parse().unwrap();
            let within = ProjectMembership::new(acme, project.id, caller.user, role);
            StoreDirectly::put_project_membership(directory, &within)
                .await
                .unwrap();
        }
        let name = format!("a project: {name}");
        places.push(at(&name, "acme", Some(project.id.to_string())));
    }
    StoreDirectly::remove_membership(directory, acme, left)
        .await
        .unwrap();
    let theirs = Project::new(globex, "theirs".parse().unwrap(), "Theirs");
    StoreDirectly::put_project(directory, &theirs)
        .await
        .unwrap();
    let theirs = Some(theirs.id.to_string());
    places.push(at("a project of another tenant", "acme", theirs.clone()));
    places.push(at("another tenant", "globex", None));
    places.push(at("another tenant and its project", "globex", theirs));
    (places, callers)
}

async fn caller(stand: &Stand, mia: &OperatorContext, name: &'static str, user: UserId) -> Caller {
    let acme = stand.acme.0;
    let asked = NewImpersonation::new(acme, user, "a test");
    let started = mia.impersonate(asked).await.unwrap();
    Caller {
        name,
        user,
        whole: key(stand, (acme, user), "*").await,
        narrow: key(stand, (acme, user), "notes:read").await,
        operator: started.token.expose().to_owned(),
    }
}

async fn key(stand: &Stand, (tenant, user): (TenantId, UserId), scope: &str) -> IssuedKey {
    let new = NewKey::new(tenant, user, "a key", [scope.parse().unwrap()]);
    let keys = stand.tenancy.keys().unwrap().by(service());
    let key = keys.issue(new).await.unwrap();
    (stand.issued)(&key);
    key
}

/// A new operator of this role, and its request.
async fn operator(stand: &Stand, role: OperatorRole) -> OperatorContext {
    let (issuer, token) = &stand.staff;
    let operator = Operator::new(*issuer, UserId::new(), role.as_str(), [role]);
    let admin = stand.tenancy.admin(service());
    admin.put_operator(&operator).await.unwrap();
    let request = FakeRequest::new("/operators").bearer(&token(operator.subject));
    let context = stand.tenancy.authenticate_operator(&request).resolve();
    context.await.unwrap()
}

/// What is answered to a request: the letters of what is allowed, or the status.
async fn cell(stand: &Stand, request: FakeRequest, place: &Place, needs: RouteNeeds) -> String {
    let mut request = request.header("host", format!("{}.notes.example", place.host));
    if let Some(project) = &place.project {
        request = request.header("x-project-id", project);
    }
    let request: &dyn RequestView = &request;
    let admitted = match stand.tenancy.admit(request, needs) {
        Admission::Ready(answer) => answer,
        Admission::Pending(pending) => pending.resolve().await,
    };
    match admitted {
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

/// Who may do what where.
pub(crate) async fn matrix<D: StoreDirectly>(stand: &Stand, directory: &D) -> String {
    let (places, callers) = fill(stand, directory).await;
    let mut matrix = String::new();
    for (letter, permission, lowest) in PERMISSIONS {
        let lowest = lowest.map_or("no system role", SystemRole::as_str);
        writeln!(matrix, "{letter}  {permission}, from {lowest}").unwrap();
    }
    let bearer = |text: &str| FakeRequest::new("/").bearer(text);
    for place in &places {
        writeln!(matrix, "\n{}", place.name).unwrap();
        let columns = "token  key *  operator  key notes:read";
        writeln!(matrix, "    {:16} {columns}", "").unwrap();
        let needs = RouteNeeds::tenant();
        for caller in &callers {
            let token = bearer(&(stand.token)(caller.user));
            let token = cell(stand, token, place, needs).await;
            let whole = cell(stand, bearer(caller.whole.expose()), place, needs).await;
            let narrow = cell(stand, bearer(caller.narrow.expose()), place, needs).await;
            let operator = cell(stand, bearer(&caller.operator), place, needs).await;
            let name = caller.name;
            writeln!(
                matrix,
                "    {name:16} {token:5}  {whole:5}  {operator:8}  {narrow}"
            )
            .unwrap();
        }
        let bound = AllowedTenants::Bound(stand.acme.0.into());
        let mut robot = Principal::new(Actor::Service(ServiceId::new()), bound, "machines");
        robot.scope = stand.tenancy.permissions().scope(["notes:*"]);
        let robot = EstablishedPrincipal::new(robot, stand.tenancy.clock().now());
        let robot = FakeRequest::new("/").established(robot);
        let robot = cell(stand, robot, place, needs).await;
        let visitor = cell(stand, FakeRequest::new("/"), place, needs).await;
        let open = cell(stand, FakeRequest::new("/"), place, needs.or_anonymous()).await;
        writeln!(matrix, "    service account of acme, notes:*  {robot}").unwrap();
        writeln!(
            matrix,
            "    nobody  {visitor}, on a route for visitors {open}"
        )
        .unwrap();
    }
    operators(stand, &places, &mut matrix).await;
    matrix
}

/// What an operator of each role does: by an authority of each right for acme, in acme and in globex, and by the staff's
/// credential itself as a tenant's caller.
async fn operators(stand: &Stand, places: &[Place], matrix: &mut String) {
    writeln!(matrix, "\noperators, by an authority for acme").unwrap();
    write!(matrix, "    {:24}", "").unwrap();
    for role in OperatorRole::ALL {
        write!(matrix, " {:14}", role.as_str()).unwrap();
    }
    writeln!(matrix).unwrap();
    let mut contexts = Vec::new();
    for role in OperatorRole::ALL {
        contexts.push(operator(stand, role).await);
    }
    let (acme, globex) = (stand.acme, stand.globex);
    let keys = [
        key(stand, acme, "*").await.record().id,
        key(stand, globex, "*").await.record().id,
    ];
    for right in OperatorRight::ALL {
        write!(matrix, "    {:24}", right.as_str()).unwrap();
        for context in &contexts {
            let own = attempt(stand, context, right, (acme, keys[0])).await;
            let other = attempt(stand, context, right, (globex, keys[1])).await;
            write!(matrix, " {:14}", format!("{own}, other {other}")).unwrap();
        }
        writeln!(matrix).unwrap();
    }
    for place in places {
        write!(matrix, "    {:24}", "as a caller").unwrap();
        for context in &contexts {
            let staff = (stand.staff.1)(context.operator().subject);
            let request = FakeRequest::new("/").bearer(&staff);
            let cell = cell(stand, request, place, RouteNeeds::tenant()).await;
            write!(matrix, " {cell:14}").unwrap();
        }
        writeln!(matrix, " {}", place.name).unwrap();
    }
    *matrix = matrix
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
}

/// Whether a change that takes this right is made by an authority of that right for acme. What fails for another reason
/// was allowed.
async fn attempt(
    stand: &Stand,
    context: &OperatorContext,
    right: OperatorRight,
    ((tenant, user), key): ((TenantId, UserId), KeyId),
) -> &'static str {
    let authority = match right {
        // These say for which tenant they are by themselves.
        OperatorRight::Impersonate | OperatorRight::ApproveImpersonations => None,
        OperatorRight::ManageOperators => Some(context.authority_over_service(right, "a test")),
        _ => Some(context.authority(stand.acme.0, right, "a test")),
    };
    let done = match authority {
        Some(Err(refused)) => Err(refused),
        Some(Ok(authority)) => change(stand, right, authority, (tenant, user, key)).await,
        None if right == OperatorRight::Impersonate => {
            let begun = context.impersonate(NewImpersonation::new(tenant, user, "a test"));
            begun.await.map(|_| ())
        }
        None => {
            let approved = context.approve(tenant, ImpersonationId::new(), "a test");
            approved.await.map(|_| ())
        }
    };
    match done {
        Err(error) if error.kind() == StoreErrorKind::Forbidden => "no",
        _ => "yes",
    }
}

async fn change(
    stand: &Stand,
    right: OperatorRight,
    authority: Authority,
    (tenant, user, key): (TenantId, UserId, KeyId),
) -> Result<(), StoreError> {
    use OperatorRight as Right;
    let admin = stand.tenancy.admin(authority.clone());
    let keys = stand.tenancy.keys().unwrap().by(authority);
    let nobody = ImpersonationId::new();
    match right {
        Right::ReadTenants => {
            let all = MemberFilter::new();
            let members = admin.list_members(tenant, &all, None, 9).await;
            members.map(|_| ())
        }
        Right::ReadTrail => {
            let all = AuditFilter::new();
            let entries = admin.list_entries(Some(tenant), &all, None, 9).await;
            entries.map(|_| ())
        }
        Right::ChangeTenants => admin.set_settings(tenant, &Settings::default()).await,
        Right::ChangeAccess => {
            let member = Membership::new(tenant, UserId::new(), SystemRole::Viewer.name());
            admin.put_membership(&member).await
        }
        Right::ChangePlans => admin.set_plan(tenant, None).await,
        Right::ManageKeys => keys.rename(tenant, key, "another").await.map(|_| ()),
        Right::Revoke => keys.disable(tenant, key).await.map(|_| ()),
        Right::EndImpersonations => admin.end_impersonation(tenant, nobody).await,
        Right::ManageOperators => {
            let new = Operator::new(stand.staff.0, user, "A colleague", []);
            admin.put_operator(&new).await
        }
        other => unreachable!("{other} is tried elsewhere"),
    }
}

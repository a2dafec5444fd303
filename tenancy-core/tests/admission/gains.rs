//! A model: random changes by random callers, after each of which nobody holds what whoever made the change did not, and
//! everybody holds what a plain rule says.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use tenancy_core::{
    Admitted, Membership, MembershipDirectory as _, PermissionRegistry, PermissionSet, Project,
    ProjectAccess, ProjectDirectory as _, ProjectId, ProjectMembership, RoleDefinition,
    RoleDirectory as _, RoleName, RouteNeeds, StoreError, SystemRole, TenantContext, UserId,
    key::{IssuedKey, NewKey},
    quota::Rate,
    testing::{FakeRequest, StoreDirectly as _, service},
};

use crate::{
    keys::{with, with_keys},
    support::World,
};

const PERMISSIONS: &[(&str, Option<SystemRole>)] = &[
    ("notes:read", Some(SystemRole::Viewer)),
    ("notes:write", Some(SystemRole::Member)),
    ("notes:purge", None),
    ("members:manage", Some(SystemRole::Admin)),
    ("billing:manage", Some(SystemRole::Owner)),
];
const NAMES: [&str; 8] = [
    "viewer",
    "member",
    "admin",
    "owner",
    "x",
    "y",
    "z",
    "nobody-defined-it",
];
const GRANTS: [&str; 7] = [
    "notes:read",
    "notes:write",
    "notes:*",
    "notes:purge",
    "members:manage",
    "billing:*",
    "*",
];

/// Numbers that look random, and are the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// Where somebody is: in the tenant as a whole, or in a project.
type Place = Option<ProjectId>;

struct Model {
    w: World,
    users: Vec<UserId>,
    projects: Vec<ProjectId>,
    keys: Vec<(UserId, Place, IssuedKey)>,
    numbers: Numbers,
}

impl Model {
    async fn new(seed: u64) -> Self {
        let builder = PermissionRegistry::builder();
        let permissions = PERMISSIONS
            .iter()
            .fold(builder, |builder, (name, lowest)| {
                builder.permission(*name, *lowest)
            })
            .build()
            .unwrap();
        let w = World::over(|directory, builder| {
            // Everybody tries every project after each change, also who is no member any more.
            let many = Rate::new(1_000_000, Duration::from_secs(1), 1_000_000).unwrap();
            with_keys(directory, builder)
                .permissions(permissions)
                .unknown_names(many)
        })
        .await;
        let mut users: Vec<_> = (0..4).map(|_| UserId::new()).collect();
        let mut projects = Vec::new();
        for slug in ["open", "closed"] {
            let project = Project::new(w.acme.id, slug.parse().unwrap(), slug);
            w.directory.put_project(&project).await.unwrap();
            projects.push(project.id);
        }
        for (user, role) in users.iter().zip([SystemRole::Admin, SystemRole::Member]) {
            let member = Membership::new(w.acme.id, *user, role.name());
            w.directory.put_membership(&member).await.unwrap();
        }
        users.push(w.alice);
        let numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        Self {
            w,
            users,
            projects,
            keys: Vec::new(),
            numbers,
        }
    }

    fn places(&self) -> Vec<Place> {
        let mut places = vec![None];
        places.extend(self.projects.iter().copied().map(Some));
        places
    }

    async fn admit(&self, request: FakeRequest, place: Place) -> Option<TenantContext> {
        let mut request = request.header("host", "acme.notes.example");
        if let Some(project) = place {
            request = request.header("x-project-id", project.to_string());
        }
        match self.w.admit_as(&request, RouteNeeds::tenant()).await {
            Ok(Admitted::Tenant(context)) => Some(context),
            Ok(Admitted::NoTenant(_)) => panic!("a tenant is named"),
            Err(refusal) => {
                // A key of somebody who was removed is revoked; a user who is no member is told of no tenant.
                let status = refusal.kind().status();
                let revoked = (status, refusal.reason()) == (401, "key-revoked");
                assert!(status == 404 || revoked, "{refusal}");
                None
            }
        }
    }

    async fn as_user(&self, user: UserId, place: Place) -> Option<TenantContext> {
        let token = self.w.token(user, json!({}));
        self.admit(FakeRequest::new("/").bearer(&token), place)
            .await
    }

    /// What everybody holds everywhere, as the engine decides it.
    async fn holdings(&self) -> BTreeMap<(UserId, Place), PermissionSet> {
        let mut held = BTreeMap::new();
        for user in &self.users {
            for place in self.places() {
                let context = self.as_user(*user, place).await;
                let rights = context.map_or(PermissionSet::EMPTY, |it| it.permissions());
                assert_eq!(
                    rights,
                    self.plainly(*user, place).await,
                    "{user} in {place:?}"
                );
                held.insert((*user, place), rights);
            }
        }
        held
    }

    /// The same, said in the slowest and plainest way, from what is stored.
    async fn plainly(&self, user: UserId, place: Place) -> PermissionSet {
        let (store, acme) = (self.w.directory.directory(), self.w.acme.id);
        let Some(member) = store.find_membership(acme, user).await.unwrap() else {
            return PermissionSet::EMPTY;
        };
        let own = store.find_roles(acme).await.unwrap();
        let mut roles = vec![member.role.clone()];
        if let Some(project) = place {
            let role = store.find_project_role(acme, project, user).await.unwrap();
            let project = store.find_project(acme, project).await.unwrap().unwrap();
            let is_owner = member.role.as_str() == "owner";
            if project.access == ProjectAccess::RoleOnly && role.is_none() && !is_owner {
                return PermissionSet::EMPTY;
            }
            roles.extend(role);
        }
        let registry = self.w.tenancy.permissions();
        let mut allowed = Vec::new();
        for (name, _) in PERMISSIONS {
            let said: Vec<_> = roles.iter().map(|role| says(&own, role, name, 0)).collect();
            if said.iter().any(Option::is_none) {
                return PermissionSet::EMPTY;
            }
            let said: Vec<_> = said.into_iter().flatten().collect();
            let is_denied = said.iter().any(|(_, denies)| *denies);
            if said.iter().any(|(allows, _)| *allows) && !is_denied {
                allowed.push(registry.id(name).unwrap());
            }
        }
        allowed.into_iter().collect()
    }

    async fn owners(&self) -> Vec<UserId> {
        let (store, acme) = (self.w.directory.directory(), self.w.acme.id);
        let mut owners = Vec::new();
        for user in &self.users {
            let member = store.find_membership(acme, *user).await.unwrap();
            owners.extend(
                member
                    .filter(|it| it.role.as_str() == "owner")
                    .map(|it| it.user),
            );
        }
        owners
    }

    fn role(&mut self) -> RoleName {
        self.numbers.of(&NAMES).parse().unwrap()
    }

    fn definition(&mut self) -> RoleDefinition {
        let mut role = RoleDefinition::new(self.numbers.of(&["x", "y", "z"]).parse().unwrap());
        for _ in 0..self.numbers.below(3) {
            role = role.allow(self.numbers.of(&GRANTS));
        }
        if self.numbers.below(3) == 0 {
            role = role.deny(self.numbers.of(&GRANTS));
        }
        if self.numbers.below(3) == 0 {
            role = role.include(self.role());
        }
        role
    }

    /// Somebody tries something. Returns by whom, and where it counts, if it was done.
    async fn change(&mut self) -> Option<(UserId, Place)> {
        let acme = self.w.acme.id;
        let (actor, user) = (self.numbers.of(&self.users), self.numbers.of(&self.users));
        let places = self.places();
        let place = self.numbers.of(&places);
        let context = self.as_user(actor, place).await?;
        // Whatever the application asks for: here the least that there is.
        let authority = context.authority("notes:read").ok()?;
        let admin = self.w.tenancy.admin(authority.clone());
        let project = self.numbers.of(&self.projects);
        let (role, definition) = (self.role(), self.definition());
        let done = match self.numbers.below(12) {
            0..=2 => {
                let member = Membership::new(acme, user, role);
                (None, admin.put_membership(&member).await)
            }
            3 => (None, admin.remove_membership(acme, user).await),
            4..=6 => {
                let member = ProjectMembership::new(acme, project, user, role);
                (Some(project), admin.put_project_membership(&member).await)
            }
            7 => {
                let done = admin.remove_project_membership(acme, project, user).await;
                (Some(project), done)
            }
            8 | 9 => (None, admin.put_role(acme, &definition).await),
            10 => (None, admin.remove_role(acme, &definition.name).await),
            _ => {
                let scope = self.numbers.of(&GRANTS).parse().unwrap();
                let Ok(new) = NewKey::in_context(&context, "a key", [scope]) else {
                    return None;
                };
                let keys = self.w.tenancy.keys().unwrap().by(authority);
                if let Ok(key) = keys.issue(new).await {
                    tenancy_logwatch::issued_key(&key);
                    self.keys.push((actor, context.project_id(), key));
                }
                return None;
            }
        };
        match done {
            (counts, Ok(())) => Some((actor, counts)),
            (_, Err(_)) => None,
        }
    }

    /// A key does no more than its creator, in the same place and now.
    async fn keys_do_no_more(&self, held: &BTreeMap<(UserId, Place), PermissionSet>) {
        for (creator, issued_in, key) in &self.keys {
            for place in self.places() {
                let Some(context) = self.admit(with(key), place).await else {
                    continue;
                };
                let place = context.project_id();
                let most = held[&(*creator, place)];
                assert!(
                    context.permissions().is_subset(most),
                    "{creator} in {issued_in:?}"
                );
            }
        }
    }

    /// The service sets something right, or opens and closes a project.
    async fn service_changes(&mut self) -> Result<(), StoreError> {
        let admin = self.w.tenancy.admin(service());
        let acme = self.w.acme.id;
        if self.numbers.below(2) == 0 {
            let (user, role) = (self.numbers.of(&self.users), self.role());
            return admin
                .put_membership(&Membership::new(acme, user, role))
                .await;
        }
        let access = self
            .numbers
            .of(&[ProjectAccess::Members, ProjectAccess::RoleOnly]);
        let project = self.projects[1];
        let store = self.w.directory.directory();
        let project = store.find_project(acme, project).await.unwrap().unwrap();
        admin.put_project(&project.with_access(access)).await
    }
}

/// Whether a role allows a permission, and whether it denies it; `None` if it can't be understood.
fn says(own: &[RoleDefinition], role: &RoleName, name: &str, depth: usize) -> Option<(bool, bool)> {
    if let Some(system) = SystemRole::from_name(role) {
        let lowest = PERMISSIONS.iter().find(|(other, _)| *other == name)?.1;
        return Some((lowest.is_some_and(|lowest| lowest <= system), false));
    }
    let role = own.iter().find(|other| other.name == *role)?;
    if depth > 10 {
        return None;
    }
    let covers = |grant: &String| match grant.strip_suffix(":*") {
        Some(area) => name.split(':').next() == Some(area),
        None => grant == name,
    };
    let mut allows = role.allow.iter().any(covers);
    let mut denies = role.deny.iter().any(|grant| grant == "*" || covers(grant));
    for include in &role.includes {
        if include.as_str() == "owner" {
            continue;
        }
        let (also_allows, also_denies) = says(own, include, name, depth + 1)?;
        (allows, denies) = (allows || also_allows, denies || also_denies);
    }
    Some((allows, denies))
}

async fn play(seed: u64, steps: usize) -> usize {
    let mut model = Model::new(seed).await;
    let mut held = model.holdings().await;
    let mut changes = 0;
    for step in 0..steps {
        if step % 5 == 0 {
            let _ = model.service_changes().await;
            held = model.holdings().await;
            continue;
        }
        let owners = model.owners().await;
        let done = model.change().await;
        let done_by_owner = done.is_some_and(|(actor, _)| owners.contains(&actor));
        let now = model.holdings().await;
        for ((user, place), rights) in &now {
            // A role in the tenant counts in its projects as well: entering one gives no more than that.
            let before = held[&(*user, *place)].union(held[&(*user, None)]);
            let gained = rights.difference(before);
            let Some((actor, counts)) = done else {
                assert_eq!(
                    *rights,
                    held[&(*user, *place)],
                    "seed {seed}, step {step}: refused"
                );
                continue;
            };
            let had = match done_by_owner {
                // Owners decide about every role, also about what no rank holds.
                true => PermissionSet::ALL,
                false => held[&(actor, counts)],
            };
            assert!(
                gained.is_subset(had),
                "seed {seed}, step {step}: {actor} had {had:?} in {counts:?}, and {user} gained {gained:?} in {place:?}"
            );
        }
        model.keys_do_no_more(&now).await;
        changes += usize::from(done.is_some());
        held = now;
    }
    changes
}

#[tokio::test]
async fn nobody_gains_what_no_giver_had() {
    let long = std::env::var("TENANCY_LONG").is_ok_and(|value| value == "1");
    let (seeds, steps) = if long { (40, 400) } else { (6, 120) };
    let mut changes = 0;
    for seed in 1..=seeds {
        changes += play(seed, steps).await;
    }
    assert!(changes > 50, "only {changes} changes were made");
}

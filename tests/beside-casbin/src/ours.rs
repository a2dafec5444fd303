//! An engine with these rules, and requests that it has admitted.

use std::{error::Error, hint::black_box};

use tenancy_core::{
    Admission, Admitted, EstablishedPrincipal, Identification, MemoryDirectory, PermissionId,
    PermissionRegistry, RoleDefinition, RoleName, RoleTable, RouteNeeds, Tenancy, TenantContext,
    UserId,
    testing::{FakeRequest, TestTenant},
};

use crate::rules::{PERMISSIONS, Question, ROLES, TENANTS, USERS, grants_of, permission, role_of};

pub(crate) struct Ours {
    /// By tenant and user.
    contexts: Vec<Vec<TenantContext>>,
    tables: Vec<RoleTable>,
    roles: Vec<RoleName>,
    ids: Vec<PermissionId>,
    names: Vec<String>,
}

pub(crate) fn registry() -> Result<PermissionRegistry, Box<dyn Error>> {
    let names = (0..PERMISSIONS).map(permission);
    let builder = names.fold(PermissionRegistry::builder(), |builder, name| {
        builder.permission(name, None)
    });
    Ok(builder.build()?)
}

impl Ours {
    pub(crate) async fn new() -> Result<Self, Box<dyn Error>> {
        let registry = registry()?;
        let tenancy = Tenancy::builder(MemoryDirectory::new())
            .identification(Identification::new().subdomains_of("notes.example"))
            .established_principals()
            .permissions(registry.clone())
            .build()?;
        let mut roles = Vec::new();
        let mut definitions = Vec::new();
        for role in 0..ROLES {
            let name: RoleName = format!("role{role}").parse()?;
            let definition = RoleDefinition::new(name.clone());
            definitions.push(grants_of(role).fold(definition, RoleDefinition::allow));
            roles.push(name);
        }
        let users = [(); USERS].map(|()| UserId::new());
        let (mut contexts, mut tables) = (Vec::new(), Vec::new());
        for number in 0..TENANTS {
            let tenant = TestTenant::create(&tenancy, &format!("tenant{number}")).await?;
            for role in &definitions {
                tenant.admin().put_role(tenant.record().id, role).await?;
            }
            let mut of_tenant = Vec::new();
            for (user, id) in users.into_iter().enumerate() {
                tenant
                    .join(id, roles[role_of(user, number)].clone())
                    .await?;
                of_tenant.push(admitted(&tenancy, number, id).await?);
            }
            contexts.push(of_tenant);
            tables.push(RoleTable::compile(&registry, &definitions)?);
        }
        let names: Vec<_> = (0..PERMISSIONS).map(permission).collect();
        let ids = names.iter().map(|name| registry.id(name));
        Ok(Self {
            contexts,
            tables,
            roles,
            ids: ids.collect::<Option<_>>().ok_or("each is declared")?,
            names,
        })
    }

    fn context(&self, asked: Question) -> &TenantContext {
        &self.contexts[asked.tenant][asked.user]
    }

    /// The bits alone.
    pub(crate) fn by_mask(&self, asked: Question) -> impl Fn() -> bool {
        let (held, id) = (
            self.context(asked).permissions(),
            self.ids[asked.permission],
        );
        move || black_box(&held).contains(black_box(id))
    }

    /// As a handler asks with an id from its start.
    pub(crate) fn by_id(&self, asked: Question) -> impl Fn() -> bool {
        let (context, id) = (self.context(asked), self.ids[asked.permission]);
        move || black_box(context).allows(black_box(id))
    }

    /// As a handler asks by name. A refusal is made, counted and recorded.
    pub(crate) fn by_name(&self, asked: Question) -> impl Fn() -> bool {
        let (context, name) = (self.context(asked), &self.names[asked.permission]);
        move || black_box(context).require(black_box(name)).is_ok()
    }

    /// As it is asked outside of a request, by the name of a role.
    pub(crate) fn by_role(&self, asked: Question) -> impl Fn() -> bool {
        let table = &self.tables[asked.tenant];
        let role = &self.roles[role_of(asked.user, asked.tenant)];
        let id = self.ids[asked.permission];
        move || black_box(table).allows(black_box(role), black_box(id))
    }
}

async fn admitted(
    tenancy: &Tenancy,
    number: usize,
    user: UserId,
) -> Result<TenantContext, Box<dyn Error>> {
    let now = tenancy.clock().now();
    let request = FakeRequest::new("/")
        .header("host", format!("tenant{number}.notes.example"))
        .established(EstablishedPrincipal::user(user, now, "sessions"));
    let admitted = match tenancy.admit(&request, RouteNeeds::tenant()) {
        Admission::Ready(admitted) => admitted,
        Admission::Pending(pending) => pending.resolve().await,
    };
    match admitted {
        Ok(Admitted::Tenant(context)) => Ok(context),
        other => Err(format!("a member is admitted: {other:?}").into()),
    }
}

//! For the tests of applications: contexts without requests, requests without a server.

use std::{net::IpAddr, sync::Arc};

use crate::{
    Actor, Principal, ProjectId, Reach, RoleName, Tenancy, Tenant, TenantContext, UserId,
    context::Parts,
    request::{Field, RequestView},
};

/// Builds a [`TenantContext`] for a test.
///
/// # Security
/// Skips every check. Enable the feature `testing` only under `[dev-dependencies]`.
///
/// ```
/// # use tenancy_core::{Tenancy, Tenant};
/// use tenancy_core::testing::ContextBuilder;
///
/// # fn example(tenancy: &Tenancy) -> Result<(), Box<dyn std::error::Error>> {
/// let acme = Tenant::new("acme".parse()?, "Acme Ltd");
/// let context = ContextBuilder::new(tenancy, acme).role("member".parse()?).build();
/// assert_eq!(context.tenant().name, "Acme Ltd");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct ContextBuilder {
    engine: Tenancy,
    tenant: Tenant,
    user: UserId,
    role: RoleName,
    project: Option<ProjectId>,
}

impl ContextBuilder {
    /// A context of a new user in the role `owner`.
    ///
    /// # Panics
    /// Never: `owner` is a role name.
    pub fn new(engine: &Tenancy, tenant: Tenant) -> Self {
        let role = crate::SystemRole::Owner.name();
        Self {
            engine: engine.clone(),
            tenant,
            user: UserId::new(),
            role,
            project: None,
        }
    }

    /// Acts as this user.
    pub fn user(mut self, user: UserId) -> Self {
        self.user = user;
        self
    }

    /// Acts in this role.
    pub fn role(mut self, role: RoleName) -> Self {
        self.role = role;
        self
    }

    /// Is for this project.
    pub fn project(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// Builds the context. A role the engine does not know grants nothing.
    #[must_use]
    pub fn build(self) -> TenantContext {
        let mask = self
            .engine
            .base_roles()
            .mask(&self.role)
            .unwrap_or_default();
        let actor = Actor::User(self.user);
        let parts = Parts {
            principal: Arc::new(Principal::new(
                actor,
                Reach::Bound(self.tenant.id.into()),
                "test",
            )),
            tenant: Arc::new(self.tenant),
            role: Some(self.role),
            project: self.project,
            permissions: mask.effective(),
        };
        TenantContext::new(self.engine, Arc::new(parts), None)
    }
}

/// A request head made by hand, for tests of identification.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct FakeRequest {
    path: String,
    authority: Option<String>,
    peer: Option<IpAddr>,
    headers: Vec<(String, Vec<u8>)>,
}

impl FakeRequest {
    /// A request to a path.
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a header field; a second one of the same name makes it repeated.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Adds `Authorization: Bearer …`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sets the authority of the request target.
    pub fn authority(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
        self
    }

    /// Sets the peer's address.
    pub fn peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }
}

impl RequestView for FakeRequest {
    fn header(&self, name: &str) -> Field<'_> {
        let mut values = self
            .headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v);
        match (values.next(), values.next()) {
            (None, _) => Field::Absent,
            (Some(_), Some(_)) => Field::Repeated,
            (Some(value), None) => match std::str::from_utf8(value) {
                Ok(text) if text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) => {
                    Field::One(text)
                }
                _ => Field::NotText,
            },
        }
    }

    fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }
}

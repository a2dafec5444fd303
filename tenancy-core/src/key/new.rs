//! Keys to be issued: what is asked for, and what is shown once.

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::{
    ApiKey, Environment, KeyText, KeyVerifier,
    limits::{check_metadata, check_name, check_networks, check_scopes, invalid},
};
use crate::{
    Grant, KeyId, PermissionRegistry, ProjectId, Refusal, StoreError, TenantContext, TenantId,
    Timestamp, UserId,
    quota::{Limit, QuotaService, check_new_key_limits},
};

/// A key to be issued.
///
/// ```
/// use tenancy_core::{TenantId, UserId, key::NewKey};
///
/// let (acme, alice) = (TenantId::new(), UserId::new());
/// let nightly = NewKey::new(acme, alice, "nightly export", ["notes:read".parse()?])
///     .network("192.0.2.0/24".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct NewKey {
    pub(crate) tenant: TenantId,
    pub(crate) creator: UserId,
    pub(crate) name: String,
    pub(crate) scopes: Vec<Grant>,
    pub(crate) project: Option<ProjectId>,
    /// The project that the credential is confined to in whose context the key is made.
    pub(crate) confined_to: Option<ProjectId>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) networks: Vec<IpNet>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) metadata: Map<String, Value>,
}

impl NewKey {
    /// A key of the tenant and user of a context, as far as the scopes go: `notes:read`, `notes:*`,
    /// or `*` for all that the user may do. Where the user's credential is confined to a project, so
    /// is the key.
    ///
    /// # Errors
    /// A [`Refusal`] with status 403, which is recorded: if a scope covers what the context does not
    /// hold, if it is `*` and the user's credential is narrower than the user, or if the context is
    /// not a user's. A key issues no keys, because they would outlive its revocation.
    pub fn in_context(
        context: &TenantContext,
        name: impl Into<String>,
        scopes: impl IntoIterator<Item = Grant>,
    ) -> Result<Self, Refusal> {
        let scopes: Vec<_> = scopes.into_iter().collect();
        let permissions = context.tenancy().permissions();
        let principal = context.principal();
        let beyond = scopes.iter().find(|scope| {
            // Everything that the user may do is never more than that, but it is more than a
            // narrower credential of the user's may be used for.
            let most = if scope.is_everything() {
                principal.scope
            } else {
                context.permissions()
            };
            !permissions.covered_by(scope).is_subset(most)
        });
        match (context.user_id(), beyond) {
            (Some(user), None) => {
                let new = Self::new(context.tenant_id(), user, name, scopes);
                Ok(Self {
                    project: principal.project,
                    confined_to: principal.project,
                    ..new
                })
            }
            (_, Some(scope)) => Err(context.denied(scope.as_str())),
            (None, None) => Err(context.denied("key:issue")),
        }
    }

    /// A key of a tenant that acts with the rights of a user, as far as the scopes go.
    ///
    /// # Security
    /// Where a tenant's user asks, use [`in_context`](Self::in_context): tenant and user never come
    /// from a request's body.
    pub fn new(
        tenant: TenantId,
        creator: UserId,
        name: impl Into<String>,
        scopes: impl IntoIterator<Item = Grant>,
    ) -> Self {
        Self {
            tenant,
            creator,
            name: name.into(),
            scopes: scopes.into_iter().collect(),
            project: None,
            confined_to: None,
            expires_at: None,
            networks: Vec::new(),
            limits: Vec::new(),
            metadata: Map::new(),
        }
    }

    /// Confines the key to one project. Default: the whole tenant.
    pub fn project(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// The moment from which the key no longer holds. Default: none.
    pub fn expires_at(mut self, end: Timestamp) -> Self {
        self.expires_at = Some(end);
        self
    }

    /// Adds a network from which the key may be used. Default: any.
    pub fn network(mut self, network: IpNet) -> Self {
        self.networks.push(network);
        self
    }

    /// Adds a limit of the key's own, of at most [`KeyLimits::MAX`](super::KeyLimits::MAX): a rate or a limit per
    /// period of a consumed meter. It counts for this key alone, beside all that the tenant's plan says. Default: none.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tenancy_core::{TenantId, UserId, key::NewKey, quota::{Limit, Period}};
    ///
    /// # let (acme, alice) = (TenantId::new(), UserId::new());
    /// let partner = NewKey::new(acme, alice, "a partner", ["notes:read".parse()?])
    ///     .limit(Limit::rate("requests", 10, Duration::from_secs(60)))
    ///     .limit(Limit::per_period("exports", 100, Period::Month));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// What the application keeps with the key: no secrets, at most 4 KiB of JSON.
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata = metadata;
        self
    }

    /// The record of the key, as it is stored.
    pub(crate) fn record(
        self,
        id: KeyId,
        environment: Environment,
        verifier: KeyVerifier,
        now: Timestamp,
    ) -> ApiKey {
        let mut record = ApiKey::new(id, self.tenant, self.creator, environment, verifier, now);
        record.name = self.name;
        record.scopes = self.scopes;
        record.project = self.project;
        record.expires_at = self.expires_at;
        record.networks = self.networks.into_iter().collect();
        record.limits = self.limits.into_iter().collect();
        record.metadata = self.metadata;
        record
    }

    /// Whether the key can be issued.
    pub(crate) fn check(
        &self,
        permissions: &PermissionRegistry,
        quotas: Option<&QuotaService>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        check_name(&self.name)?;
        check_scopes(&self.scopes, permissions)?;
        check_networks(self.networks.len())?;
        check_metadata(&self.metadata)?;
        check_new_key_limits(&self.limits.iter().cloned().collect(), quotas)
            .map_err(|error| invalid(error.to_string()))?;
        if self.confined_to.is_some() && self.project != self.confined_to {
            return Err(invalid(
                "the key would be of another project than the credential it is made with",
            ));
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(invalid("the key would have expired before it is issued"));
        }
        Ok(())
    }
}

/// A key that has just been issued or rotated: the only time that its text is known.
///
/// `Debug` shows the record, and nothing of the text.
///
/// ```
/// use tenancy_core::{KeyService, TenantContext, key::NewKey};
///
/// async fn issue(
///     keys: &KeyService,
///     context: &TenantContext,
/// ) -> Result<String, Box<dyn std::error::Error>> {
///     let new = NewKey::in_context(context, "nightly export", ["notes:read".parse()?])?;
///     let issued = keys.by(context.authority("keys:manage")?).issue(new).await?;
///     println!("issued {}", issued.record().id);
///     // For its owner, once.
///     Ok(issued.expose().to_owned())
/// }
/// ```
#[derive(Debug)]
#[must_use = "the text of a key can't be had again"]
pub struct IssuedKey {
    record: ApiKey,
    text: KeyText,
}

impl IssuedKey {
    pub(crate) fn new(record: ApiKey, text: KeyText) -> Self {
        Self { record, text }
    }

    /// The record, which can be shown at any time.
    #[must_use]
    pub const fn record(&self) -> &ApiKey {
        &self.record
    }

    /// The text, to be shown to its owner once.
    ///
    /// # Security
    /// Never log it, never store it. Send it with `Cache-Control: no-store`.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

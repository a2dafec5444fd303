//! Issuing keys: what is asked for, and what is shown once.

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::{ApiKey, KeyNetworks, KeyText};
use crate::{
    Grant, PermissionRegistry, ProjectId, Refusal, StoreError, StoreErrorKind, TenantContext,
    TenantId, Timestamp, UserId,
};

/// The longest name of a key, in characters.
const MAX_NAME: usize = 100;

/// The most scopes of a key.
const MAX_SCOPES: usize = 64;

/// The largest metadata of a key, in bytes of JSON.
const MAX_METADATA: usize = 4096;

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
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) networks: Vec<IpNet>,
    pub(crate) metadata: Map<String, Value>,
}

impl NewKey {
    /// A key of the tenant and user of a context, as far as the scopes go: `notes:read`, `notes:*`,
    /// or `*` for all that the user may do.
    ///
    /// # Errors
    /// A [`Refusal`] with status 403, which is recorded: if a scope covers what the context does not
    /// hold, or if the context is not a user's. A key issues no keys, because they would outlive
    /// its revocation.
    pub fn in_context(
        context: &TenantContext,
        name: impl Into<String>,
        scopes: impl IntoIterator<Item = Grant>,
    ) -> Result<Self, Refusal> {
        let scopes: Vec<_> = scopes.into_iter().collect();
        let permissions = context.tenancy().permissions();
        let beyond = scopes.iter().find(|scope| {
            // Everything that the user may do is never more than that.
            !scope.is_everything()
                && !permissions
                    .covered_by(scope)
                    .is_subset(context.permissions())
        });
        match (context.user_id(), beyond) {
            (Some(user), None) => Ok(Self::new(context.tenant_id(), user, name, scopes)),
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
            expires_at: None,
            networks: Vec::new(),
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

    /// What the application keeps with the key: no secrets, at most 4 KiB of JSON.
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata = metadata;
        self
    }

    /// Whether the key can be issued.
    pub(crate) fn check(
        &self,
        permissions: &PermissionRegistry,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        check_name(&self.name)?;
        check_scopes(&self.scopes, permissions)?;
        check_networks(self.networks.len())?;
        check_metadata(&self.metadata)?;
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(invalid("the key would have expired before it is issued"));
        }
        Ok(())
    }
}

/// A key that has just been issued or rotated: the only time that its text is known.
///
/// `Debug` shows the record, and nothing of the text.
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

fn invalid(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, message)
}

pub(crate) fn check_name(name: &str) -> Result<(), StoreError> {
    let fits = !name.trim().is_empty()
        && name.chars().count() <= MAX_NAME
        && !name.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(invalid(format!(
            "the name of a key must be 1 to {MAX_NAME} characters that can be seen"
        )))
    }
}

/// A scope that covers nothing is a mistake that would show only when the key is used.
pub(crate) fn check_scopes(
    scopes: &[Grant],
    permissions: &PermissionRegistry,
) -> Result<(), StoreError> {
    if scopes.len() > MAX_SCOPES {
        return Err(invalid(format!("a key has at most {MAX_SCOPES} scopes")));
    }
    match scopes
        .iter()
        .find(|scope| permissions.covered_by(scope).is_empty())
    {
        Some(scope) => Err(invalid(format!(
            "the scope `{scope}` covers no permission that is declared"
        ))),
        None => Ok(()),
    }
}

pub(crate) fn check_networks(count: usize) -> Result<(), StoreError> {
    if count > KeyNetworks::MAX {
        return Err(invalid(format!(
            "a key lists at most {} networks",
            KeyNetworks::MAX
        )));
    }
    Ok(())
}

pub(crate) fn check_metadata(metadata: &Map<String, Value>) -> Result<(), StoreError> {
    let size = serde_json::to_vec(metadata).map_or(usize::MAX, |json| json.len());
    if size > MAX_METADATA {
        return Err(invalid(format!(
            "the metadata of a key is at most {MAX_METADATA} bytes of JSON"
        )));
    }
    Ok(())
}

//! Errors of directories.

mod members;
mod operators;

use std::sync::Arc;

use crate::{IllegalTransition, Refusal, RefusalKind};

/// A directory that could not answer. Never means "not found".
///
/// ```
/// use tenancy_core::{DirectoryError, TenantId, async_trait};
/// # use tenancy_core::{RoleDefinition, RoleDirectory};
/// # struct Files;
///
/// #[async_trait]
/// impl RoleDirectory for Files {
///     async fn find_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, DirectoryError> {
///         match std::fs::read(format!("/etc/notes/{tenant}/roles.json")) {
///             Ok(bytes) => serde_json::from_slice(&bytes).map_err(DirectoryError::new),
///             // What is not there is no error.
///             Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
///             Err(error) => Err(DirectoryError::new(error)),
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("the directory did not answer: {source}")]
pub struct DirectoryError {
    source: Arc<dyn std::error::Error + Send + Sync>,
}

impl DirectoryError {
    /// Wraps the cause, which is logged and never sent to a caller.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Arc::from(source.into()),
        }
    }
}

/// Why a write was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No such tenant, or no such project, member or key in it.
    NotFound,
    /// An id, slug, domain or external id is taken, what was seen has changed meanwhile, or the tenant would lose its
    /// last owner.
    Conflict,
    /// The status can't go where it was asked to.
    IllegalTransition,
    /// The authority is not good for it.
    Forbidden,
    /// This directory can't be written through this connection.
    ReadOnly,
    /// The value can't be stored.
    Invalid,
    /// The plan has no room for it: [`StoreError::refusal`] says of what.
    LimitReached,
    /// The store did not answer.
    Unavailable,
}

/// A write that was not done; nothing was changed.
///
/// ```
/// use tenancy_core::{
///     MemoryDirectory, StoreErrorKind, TenantRecord,
/// # Tenancy, danger, jwt::{Algorithm, JwtAuthenticator, VerificationKey},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = VerificationKey::hmac(Algorithm::HS256, [7; 32])?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
/// # let tenancy = Tenancy::builder(MemoryDirectory::new()).authenticator(tokens).build()?;
/// let admin = tenancy.admin(danger::service("a sign-up")?);
/// admin.create_tenant(&TenantRecord::new("acme".parse()?, "Acme Ltd")).await?;
/// let again = admin.create_tenant(&TenantRecord::new("acme".parse()?, "Acme Inc")).await;
/// match again {
///     Err(error) if error.kind() == StoreErrorKind::Conflict => {} // "the slug is taken", 409 say
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    refusal: Option<Box<Refusal>>,
}

impl StoreError {
    /// The tenant is on another plan than the caller thought; for stores.
    #[must_use]
    pub fn other_plan() -> Self {
        Self::new(
            StoreErrorKind::Conflict,
            "the tenant is on another plan by now; read its record and decide again",
        )
    }

    /// What [`put_role`](crate::RoleStore::put_role) fails with where a tenant has as many roles of its
    /// own as it may have.
    #[must_use]
    pub fn too_many_roles() -> Self {
        let most = crate::RoleTable::MAX_ROLES;
        let message =
            format!("the tenant has {most} roles of its own, as many as it may have; remove one");
        Self::new(StoreErrorKind::Invalid, message)
    }

    /// An error with a message that names what is wrong.
    #[must_use]
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            refusal: None,
        }
    }

    /// The store did not answer.
    #[must_use]
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source: Arc<dyn std::error::Error + Send + Sync> = Arc::from(source.into());
        Self {
            kind: StoreErrorKind::Unavailable,
            message: format!("the directory did not answer: {source}"),
            source: Some(source),
            refusal: None,
        }
    }

    /// A limit of the tenant's plan was met.
    #[must_use]
    pub(crate) fn limit_reached(refusal: Refusal) -> Self {
        let kind = match refusal.kind() {
            RefusalKind::QuotaExhausted | RefusalKind::FeatureNotInPlan => {
                StoreErrorKind::LimitReached
            }
            RefusalKind::Unavailable => StoreErrorKind::Unavailable,
            _ => StoreErrorKind::Invalid,
        };
        let message = "the tenant's plan has no room for this; give something back, or put the tenant on another \
                       plan";
        let mut error = Self::new(kind, message);
        error.refusal = Some(Box::new(refusal));
        error
    }

    /// What a caller is told who has met a limit of the plan: status 402, with the limit and what is used of it. `None` for
    /// all other errors.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_deref()
    }

    /// Why the write was not done.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl From<IllegalTransition> for StoreError {
    fn from(error: IllegalTransition) -> Self {
        Self::new(StoreErrorKind::IllegalTransition, error.to_string())
    }
}

//! A tenant with members, in a line.

use crate::{
    Admin, Membership, RoleName, Slug, StoreError, StoreErrorKind, Tenancy, TenantContext,
    TenantRecord, TenantStatus, UserId,
    testing::{ContextBuilder, service},
};

/// A tenant that a test has made, and makes members of.
///
/// ```
/// use tenancy_core::{MemoryDirectory, SystemRole, Tenancy, testing::TestTenant};
/// # use tenancy_core::testing::TestTokens;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let tokens = TestTokens::new("notes");
/// # let tenancy = Tenancy::builder(MemoryDirectory::new()).authenticator(tokens.verifier().build()?).build()?;
/// let acme = TestTenant::create(&tenancy, "acme").await?;
/// let alice = acme.member(SystemRole::Owner).await?;
/// assert_eq!(acme.context(alice, SystemRole::Owner).record().slug.as_str(), "acme");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TestTenant {
    engine: Tenancy,
    record: TenantRecord,
}

impl TestTenant {
    /// Makes a tenant that is active. Its name is its slug.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if that is no slug, [`StoreErrorKind::Conflict`] if it is taken,
    /// [`StoreErrorKind::ReadOnly`] if the engine's stores make no tenants.
    pub async fn create(engine: &Tenancy, slug: &str) -> Result<Self, StoreError> {
        let parsed: Result<Slug, _> = slug.parse();
        let parsed =
            parsed.map_err(|error| StoreError::new(StoreErrorKind::Invalid, error.to_string()))?;
        let record = TenantRecord::new(parsed, slug).with_status(TenantStatus::Active);
        engine.admin(service()).create_tenant(&record).await?;
        Ok(Self {
            engine: engine.clone(),
            record,
        })
    }

    /// The record, as it was made.
    #[must_use]
    pub const fn record(&self) -> &TenantRecord {
        &self.record
    }

    /// Makes a new user a member.
    ///
    /// # Errors
    /// A [`StoreError`] if the store does not write it.
    pub async fn member(&self, role: impl Into<RoleName>) -> Result<UserId, StoreError> {
        let user = UserId::new();
        self.join(user, role).await?;
        Ok(user)
    }

    /// Makes a user a member who may be one of another tenant already.
    ///
    /// # Errors
    /// A [`StoreError`] if the store does not write it.
    pub async fn join(&self, user: UserId, role: impl Into<RoleName>) -> Result<(), StoreError> {
        let member = Membership::new(self.record.id, user, role.into());
        self.admin().put_membership(&member).await
    }

    /// A context without a request, for a test of what works with one.
    ///
    /// # Security
    /// Skips every check, as [`ContextBuilder`] does: also whether the user is a member.
    #[must_use]
    pub fn context(&self, user: UserId, role: impl Into<RoleName>) -> TenantContext {
        let context = ContextBuilder::new(&self.engine, self.record.clone());
        context.user(user).role(role.into()).build()
    }

    /// What changes the tenant further: the service itself, with the reason `a test`.
    pub fn admin(&self) -> Admin {
        self.engine.admin(service())
    }
}

//! Importing keys: those that another system made go on working.

use super::KeyAdmin;
use crate::{
    ChangeAction, KeyId, StoreError, StoreErrorKind,
    key::{
        ApiKey, ImportedSecret, KeyHandle, KeyVerifier, NewKey, SecretError, SecretErrorKind,
        SecretHash, limits::invalid,
    },
};

impl KeyAdmin {
    /// Adds a key that was made elsewhere, or whose secret somebody chose. From then on it is a key
    /// like any other, but for its text and for what its first request costs; rotating it gives one
    /// of the service's own format.
    ///
    /// ```
    /// # use tenancy_core::{
    /// #     danger, MemoryDirectory, Membership, PermissionRegistry, SystemRole, Tenancy,
    /// #     TenantRecord, TenantStatus, UserId,
    /// #     key::{ApiKeys, Environment, HmacKeyHasher, ImportedFormat, ImportedKeys, KeyFormat,
    /// #         NewKey, Pepper},
    /// # };
    /// use tenancy_core::key::SecretHash;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = MemoryDirectory::new();
    /// # let pepper = Pepper::new(1, [0x5c; 32])?;
    /// # let keys = ApiKeys::new(
    /// #     KeyFormat::new("acme", Environment::Live)?, HmacKeyHasher::new(pepper), directory.clone(),
    /// # ).imported(ImportedKeys::new(ImportedFormat::separated("oldco_", '.')?));
    /// # let tenancy = Tenancy::builder(directory.clone()).keys(keys).permissions(
    /// #     PermissionRegistry::builder().permission("notes:read", SystemRole::Viewer).build()?,
    /// # ).build()?;
    /// # let acme = TenantRecord::new("acme".parse()?, "Acme Ltd").with_status(TenantStatus::Active);
    /// # let alice = UserId::new();
    /// # let admin = tenancy.admin(danger::service("an example")?);
    /// # admin.create_tenant(&acme).await?;
    /// # admin.put_membership(&Membership::new(acme.id, alice, "owner".parse()?)).await?;
    /// let nightly = NewKey::new(acme.id, alice, "nightly export", ["notes:read".parse()?]);
    /// let theirs = SecretHash::argon2id(
    ///     "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA\
    ///      $MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
    /// )?;
    /// let key = tenancy.keys()?.by(danger::service("moving here")?).import(nightly, "4711".parse()?, theirs).await?;
    /// assert_eq!(key.name, "nightly export");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`issue`](Self::issue); [`StoreErrorKind::Conflict`] if the handle is taken in this
    /// environment, by a key of whichever tenant; [`StoreErrorKind::Invalid`] if the format of
    /// imported keys has no such handles or the hash can't be used; [`StoreErrorKind::Unavailable`]
    /// if too many secrets are being hashed; [`StoreErrorKind::ReadOnly`] if no
    /// [imported keys](crate::key::ApiKeys::imported) are configured.
    ///
    /// # Security
    /// For those who move tenants here: a tenant's own users would learn which handles are taken, and
    /// choose secrets that are worth guessing at.
    pub async fn import(
        &self,
        new: NewKey,
        handle: KeyHandle,
        secret: impl Into<ImportedSecret> + Send,
    ) -> Result<ApiKey, StoreError> {
        let keys = self.configured()?;
        let Some(imported) = &keys.imported else {
            let message = "no format of imported keys is configured";
            return Err(StoreError::new(StoreErrorKind::ReadOnly, message));
        };
        let now = self.now();
        new.check(&self.engine.inner().permissions, self.engine.quotas(), now)?;
        if !imported.config.format.fits(&handle) {
            return Err(invalid("imported keys of this format have no such handles"));
        }
        self.check_references(&new).await?;
        let hash = match secret.into() {
            ImportedSecret::Text(secret) => {
                let hash = imported.config.hasher.hash(secret).await;
                SecretHash::from_stored(hash.map_err(refused)?)
            }
            ImportedSecret::Hash(hash) => SecretHash::argon2id(hash.as_str()).map_err(refused)?,
        };
        let verifier = KeyVerifier::Argon2id { handle, hash };
        let environment = keys.config.format.environment();
        let record = new.record(KeyId::new(), environment, verifier, now);
        let (tenant, store) = (record.tenant, keys.config.store()?);
        let placed = (record.id, record.project);
        self.make_as(
            ChangeAction::KeyImport,
            tenant,
            placed,
            async |caller, with| {
                self.may_hand_out(caller.as_ref(), record.creator, &record.scopes)?;
                store.insert_key(&record, &with).await
            },
        )
        .await?;
        Ok(record)
    }
}

fn refused(error: SecretError) -> StoreError {
    match error.kind() {
        SecretErrorKind::Busy | SecretErrorKind::Failed => StoreError::unavailable(error),
        _ => invalid(error.to_string()),
    }
}

//! Stores of keys.

use std::fmt;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{ApiKey, Environment, KeyDigest, KeyHandle, KeyLimits, KeyNetworks, KeyRange, KeySeen};
use crate::{ChangeRecord, DirectoryError, Grant, KeyId, StoreError, TenantId, Timestamp, UserId};

/// A change of a key's record.
///
/// ```
/// use tenancy_core::{
///     KeyId, TenantId, Timestamp, UserId,
///     key::{ApiKey, Environment, KeyChange, KeyDigest},
/// };
///
/// # let (id, now) = (KeyId::new(), Timestamp::EPOCH);
/// # let digest = KeyDigest::new(1, [0; 32]);
/// let mut key = ApiKey::new(id, TenantId::new(), UserId::new(), Environment::Live, digest, now);
/// KeyChange::Name("weekly export".into()).apply(&mut key)?;
/// assert_eq!(key.name, "weekly export");
/// # Ok::<(), tenancy_core::StoreError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store that ignores a change must not compile"
)]
pub enum KeyChange {
    /// Another name.
    Name(String),
    /// Other scopes.
    Scopes {
        /// The new ones.
        scopes: Vec<Grant>,
        /// What the key was when they were decided on.
        seen: KeySeen,
    },
    /// Other networks.
    Networks(KeyNetworks),
    /// Other limits of its own, all of them.
    Limits(KeyLimits),
    /// Other metadata, as a whole.
    Metadata(Map<String, Value>),
    /// Switched off, or on again.
    Disabled(bool),
    /// Revoked at this moment. A key that was revoked keeps the moment of the first time.
    Revoked(Timestamp),
}

impl KeyChange {
    /// Makes the change in a record: for stores, inside the transaction that writes it.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) if the key is not what was seen.
    pub fn apply(&self, key: &mut ApiKey) -> Result<(), StoreError> {
        match self {
            Self::Name(name) => key.name.clone_from(name),
            Self::Scopes { scopes, seen } => {
                seen.check(key)?;
                key.scopes.clone_from(scopes);
            }
            Self::Networks(networks) => key.networks.clone_from(networks),
            Self::Limits(limits) => key.limits.clone_from(limits),
            Self::Metadata(metadata) => key.metadata.clone_from(metadata),
            Self::Disabled(disabled) => key.disabled = *disabled,
            Self::Revoked(at) => key.revoked_at = key.revoked_at.or(Some(*at)),
        }
        Ok(())
    }
}

/// What puts a new key in another's place.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KeyRotation {
    /// The key that is replaced.
    pub key: KeyId,
    /// The id of the new one.
    pub successor: KeyId,
    /// The digest of the new one.
    pub digest: KeyDigest,
    /// The moment of now.
    pub now: Timestamp,
    /// Until when the replaced key goes on; its own expiry still ends it.
    pub overlap_until: Timestamp,
    /// What the replaced key was when the rotation was decided on; [`KeySeen::Any`] by default.
    pub seen: KeySeen,
}

impl KeyRotation {
    /// A rotation.
    #[must_use]
    pub const fn new(
        key: KeyId,
        successor: KeyId,
        digest: KeyDigest,
        now: Timestamp,
        overlap_until: Timestamp,
    ) -> Self {
        Self {
            key,
            successor,
            digest,
            now,
            overlap_until,
            seen: KeySeen::Any,
        }
    }

    /// The same, of a key that is still what was seen.
    #[must_use]
    pub fn seen(mut self, seen: KeySeen) -> Self {
        self.seen = seen;
        self
    }

    /// Replaces the key, and returns its successor: for stores, inside the transaction that writes both.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) if the key is not what was seen, and what
    /// [`ApiKey::rotate`] says.
    pub fn apply(&self, key: &mut ApiKey) -> Result<ApiKey, StoreError> {
        self.seen.check(key)?;
        key.rotate(
            self.successor,
            self.digest.clone(),
            self.now,
            self.overlap_until,
        )
    }
}

/// Finds keys.
#[async_trait]
pub trait KeyDirectory: Send + Sync + fmt::Debug {
    /// The key of this id, whatever its state; `None` if there is none.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_key(&self, key: KeyId) -> Result<Option<ApiKey>, DirectoryError>;

    /// The imported key that has this handle in this environment, whatever its state; `None` if
    /// there is none.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_imported_key(
        &self,
        environment: Environment,
        handle: &KeyHandle,
    ) -> Result<Option<ApiKey>, DirectoryError>;
}

/// Writes keys.
///
/// Part of the directory that the engine reads: each call is one transaction, and all but the last
/// two advance the generation of every tenant they concern in it, so that the
/// [feed](crate::GenerationFeed) tells. `conformance::keys` (feature `testing`) checks
/// all of this.
///
/// # Security
/// A key of another tenant is not found. Nothing here changes an id, a tenant, a creator, an
/// environment, a handle, its hash or an expiry, and nothing takes a revocation back. A creator is changed in one
/// place: where a member leaves the tenant and the keys are handed over, by
/// [`MembershipStore::remove_membership`](crate::MembershipStore::remove_membership), in the transaction that ends the
/// rights of the former one.
#[async_trait]
pub trait KeyStore: KeyDirectory {
    /// Adds a key; an id that is taken is a [`Conflict`](crate::StoreErrorKind::Conflict), and so is
    /// the handle of another imported key of the environment, of whichever tenant. A project that is
    /// not the tenant's is not found. A creator who is no active member of the tenant is
    /// [`Invalid`](crate::StoreErrorKind::Invalid).
    ///
    /// # Security
    /// The creator is looked at in the transaction, and the membership can't be removed before it ends: a key that is
    /// issued while its creator is being removed would be alive when the user comes back.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn insert_key(&self, key: &ApiKey, record: &ChangeRecord) -> Result<(), StoreError>;

    /// A tenant's keys in the order of their ids, at most `limit`, beginning behind `after`.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer; a tenant that does not exist has none.
    async fn list_keys(
        &self,
        tenant: TenantId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError>;

    /// Changes a tenant's key, as [`KeyChange::apply`] does, and returns it. The record is locked from reading to writing.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn change_key(
        &self,
        tenant: TenantId,
        key: KeyId,
        change: &KeyChange,
        record: &ChangeRecord,
    ) -> Result<ApiKey, StoreError>;

    /// Puts a new key in another's place, as [`KeyRotation::apply`] does, and returns the new one.
    ///
    /// The record is locked from reading to writing, so that of two rotations one fails, and no
    /// change in between is lost.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn rotate_key(
        &self,
        tenant: TenantId,
        rotation: &KeyRotation,
        record: &ChangeRecord,
    ) -> Result<ApiKey, StoreError>;

    /// Revokes all keys of a tenant that are not, and returns how many.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn revoke_tenant_keys(
        &self,
        tenant: TenantId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<u64, StoreError>;

    /// Revokes all keys in a range that are not, of whichever tenants, and returns how many of
    /// which.
    ///
    /// A successor whose rotation is under way meanwhile is revoked too, if it is in the range.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn revoke_key_range(
        &self,
        range: &KeyRange,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError>;

    /// Revokes all keys that a user has made and that are not, in whichever tenants and
    /// environments, and returns how many of which tenant.
    ///
    /// A successor whose rotation is under way meanwhile is revoked too.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed; a user without keys is none.
    async fn revoke_creator_keys(
        &self,
        creator: UserId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError>;

    /// Notes when keys were last used; an earlier moment than is noted changes nothing, and so does
    /// a key that is not there. Advances no generation.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn record_last_used(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError>;

    /// Replaces a digest, if it is still the expected one; returns whether it was. Advances no
    /// generation.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn replace_digest(
        &self,
        key: KeyId,
        expected: &KeyDigest,
        new: &KeyDigest,
    ) -> Result<bool, StoreError>;
}

//! New keys of a tenant: issued, or put in another's place.

use std::time::Duration;

use super::{KeyAdmin, Keys, admin::configured};
use crate::{
    ChangeAction, KeyId, MembershipStatus, StoreError, StoreErrorKind, Tenancy, TenantId,
    Timestamp,
    key::{IssuedKey, KeyDigest, KeyFormat, KeyRotation, KeyText, NewKey, limits::invalid},
    quota::check_key_limits,
};

impl KeyAdmin {
    /// Issues a key. Its text is in the answer, and nowhere else.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if its name, scopes, networks, limits, metadata or expiry can't be, its
    /// creator is no active member of the tenant, or its project is not the tenant's;
    /// [`StoreErrorKind::NotFound`] if there is no such tenant. [`StoreErrorKind::Forbidden`] on an operator's authority;
    /// and on a caller's, where the key would act as another user than the caller, or a scope covers what the caller does not
    /// hold where the key counts: in its project, or in the tenant as a whole.
    ///
    /// # Security
    /// Make `new` by [`NewKey::in_context`] where a tenant's user asks: so tenant and user never come from a request's body,
    /// and what is refused is refused before.
    pub async fn issue(&self, new: NewKey) -> Result<IssuedKey, StoreError> {
        let keys = self.configured()?;
        let now = self.engine.inner().clock.now();
        self.check_references(&new).await?;
        let issued = minted(&self.engine, new, now)?;
        let store = keys.config.store()?;
        let record = issued.record();
        let placed = (record.id, record.project);
        self.make_as(
            ChangeAction::KeyIssue,
            record.tenant,
            placed,
            async |caller, with| {
                self.may_hand_out(caller.as_ref(), record.creator, &record.scopes)?;
                store.insert_key(record, &with).await
            },
        )
        .await?;
        Ok(issued)
    }

    /// Puts a new key in a key's place, with everything of it but id and secret.
    ///
    /// The old one goes on for the overlap, zero for not at all, and never past its own expiry. A
    /// rotation does not prolong: the new key expires when the old one would have.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if the tenant has no such key;
    /// [`StoreErrorKind::IllegalTransition`] if it is revoked, expired, disabled, or was rotated;
    /// [`StoreErrorKind::Invalid`] if it is of another environment, whose deployment has to do it, or has
    /// limits of its own that this program can't count; [`StoreErrorKind::Forbidden`] on an operator's authority, and on a
    /// caller's, unless the caller is the user who has made the key, and holds what its scopes cover;
    /// [`StoreErrorKind::Conflict`] on a caller's authority if the key got another creator or other scopes meanwhile.
    ///
    /// # Security
    /// The text acts with the rights of the key's creator, and so nobody else gets it: who manages the keys of others
    /// revokes them, and has their creators issue new ones. An API key rotates none: it would outlive its revocation.
    pub async fn rotate(
        &self,
        tenant: TenantId,
        key: KeyId,
        overlap: Duration,
    ) -> Result<IssuedKey, StoreError> {
        let keys = self.configured()?;
        // No environment changes. Limits do, but to such as can be counted.
        let found = self.find(tenant, key).await?;
        let project = found.as_ref().and_then(|found| found.project);
        let environment = keys.config.format.environment();
        if let Some(found) = &found {
            if found.environment != environment {
                let message = "a key is rotated by the deployment of its own environment";
                return Err(StoreError::new(StoreErrorKind::Invalid, message));
            }
            check_key_limits(&found.limits, self.engine.quotas()).map_err(|error| {
                invalid(format!(
                    "{error}; or change them with `KeyAdmin::set_limits`"
                ))
            })?;
        }
        let id = KeyId::new();
        let text = mint(&keys.config.format, id)?;
        let now = self.now();
        let digest = digest(keys, &text)?;
        let rotation = KeyRotation::new(key, id, digest, now, now + overlap);
        let store = keys.config.store()?;
        let record = self
            .make_as(
                ChangeAction::KeyRotate,
                tenant,
                (key, project),
                async |caller, with| {
                    let caller = caller.as_ref();
                    let seen = match &found {
                        Some(found) => self.may_rotate(caller, found)?,
                        None => self.unseen(caller, key)?,
                    };
                    let rotation = rotation.seen(seen);
                    store.rotate_key(tenant, &rotation, &with).await
                },
            )
            .await?;
        Ok(IssuedKey::new(record, text))
    }

    /// Whether creator and project are the tenant's.
    pub(super) async fn check_references(&self, new: &NewKey) -> Result<(), StoreError> {
        let directory = &self.engine.inner().directory;
        let invalid = |message: &str| Err(StoreError::new(StoreErrorKind::Invalid, message));
        let creator = directory.find_membership(new.tenant, new.creator).await;
        let active = creator
            .map_err(StoreError::unavailable)?
            .is_some_and(|member| member.status == MembershipStatus::Active);
        if !active {
            return Err(StoreError::no_key_creator());
        }
        if let Some(project) = new.project {
            let found = directory.find_project(new.tenant, project).await;
            if found.map_err(StoreError::unavailable)?.is_none() {
                return invalid("the project of a key must be its tenant's");
            }
        }
        Ok(())
    }
}

/// A new key that was checked, and is not stored yet.
pub(in crate::engine) fn minted(
    engine: &Tenancy,
    new: NewKey,
    now: Timestamp,
) -> Result<IssuedKey, StoreError> {
    let keys = configured(engine)?;
    new.check(&engine.inner().permissions, engine.quotas(), now)?;
    let id = KeyId::new();
    let text = mint(&keys.config.format, id)?;
    let digest = digest(keys, &text)?;
    let environment = keys.config.format.environment();
    let record = new.record(id, environment, digest.into(), now);
    Ok(IssuedKey::new(record, text))
}

fn digest(keys: &Keys, text: &KeyText) -> Result<KeyDigest, StoreError> {
    let presented = keys
        .config
        .format
        .read(text.expose())
        .map_err(|rejection| {
            let message = format!("a new key can't be read back: {rejection}");
            StoreError::new(StoreErrorKind::Invalid, message)
        })?;
    Ok(keys.config.hasher.digest(&presented))
}

fn mint(format: &KeyFormat, id: KeyId) -> Result<KeyText, StoreError> {
    format.mint(id).map_err(StoreError::unavailable)
}

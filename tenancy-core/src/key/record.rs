//! The record of a key: everything about it but its secret.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{Environment, KeyDigest, KeyLimits, KeyNetworks, KeyVerifier, reason};
use crate::{
    Grant, KeyId, ProjectId, Rejection, StoreError, StoreErrorKind, TenantId, Timestamp, UserId,
};

/// An API key as it is stored.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{
///     KeyId, TenantId, Timestamp, UserId,
///     key::{ApiKey, Environment, KeyDigest, KeyState},
/// };
///
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let digest = KeyDigest::new(1, [0; 32]);
/// let mut key = ApiKey::new(
///     KeyId::new(), TenantId::new(), UserId::new(), Environment::Live, digest, now,
/// );
/// key.expires_at = Some(now + Duration::from_secs(60));
/// assert_eq!(key.state_at(now), KeyState::Active);
/// assert_eq!(key.state_at(now + Duration::from_secs(60)), KeyState::Expired);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ApiKey {
    /// Identifies it.
    pub id: KeyId,
    /// The tenant it acts in; never changes.
    pub tenant: TenantId,
    /// The user whose rights it acts with. Changes only where that user leaves the tenant and the key is
    /// [handed over](crate::KeysGo::To).
    pub creator: UserId,
    /// The deployment it is for; never changes.
    pub environment: Environment,
    /// For people to read.
    pub name: String,
    /// What it may be used for at most. Nothing if empty; everything its creator may do if `*`.
    pub scopes: Vec<Grant>,
    /// The project it is confined to, if it is.
    pub project: Option<ProjectId>,
    /// Whether it enters no project that admits by [role only](crate::ProjectAccess::RoleOnly), whatever role its creator
    /// has there. So it is with a key of the whole tenant once it was [handed over](crate::KeysGo::To).
    pub open_projects_only: bool,
    /// From where it may be used.
    pub networks: KeyNetworks,
    /// What it may take at most, beside what the tenant's plan says; never changes.
    pub limits: KeyLimits,
    /// What the application keeps with it.
    pub metadata: Map<String, Value>,
    /// What is stored instead of the secret.
    pub verifier: KeyVerifier,
    /// When it was issued.
    pub created_at: Timestamp,
    /// The moment from which it no longer holds; never changes.
    pub expires_at: Option<Timestamp>,
    /// The moment from which it no longer holds because another took its place.
    pub overlap_until: Option<Timestamp>,
    /// The key that took its place.
    pub successor: Option<KeyId>,
    /// Whether it is switched off for now.
    pub disabled: bool,
    /// When it was revoked. That is never taken back.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    pub last_used_at: Option<Timestamp>,
}

/// Where a key stands at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// It can be used.
    Active,
    /// It was revoked, for good.
    Revoked,
    /// It was switched off.
    Disabled,
    /// Its time is over.
    Expired,
    /// Another took its place, and the overlap is over.
    Rotated,
}

impl ApiKey {
    /// A key with full rights to nothing: no scope, no expiry, usable from anywhere.
    #[must_use]
    pub fn new(
        id: KeyId,
        tenant: TenantId,
        creator: UserId,
        environment: Environment,
        verifier: impl Into<KeyVerifier>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            tenant,
            creator,
            environment,
            name: String::new(),
            scopes: Vec::new(),
            project: None,
            open_projects_only: false,
            networks: KeyNetworks::default(),
            limits: KeyLimits::default(),
            metadata: Map::new(),
            verifier: verifier.into(),
            created_at,
            expires_at: None,
            overlap_until: None,
            successor: None,
            disabled: false,
            revoked_at: None,
            last_used_at: None,
        }
    }

    /// Gives the key to another holder, with these scopes: for stores, in the transaction in which its creator leaves.
    ///
    /// A key of the whole tenant enters no project that admits by role alone from then on. The one who goes may never have
    /// had a role there, and knows the text.
    pub fn hand_over(&mut self, to: UserId, scopes: &[Grant]) {
        self.creator = to;
        self.scopes = scopes.to_vec();
        self.open_projects_only |= self.project.is_none();
    }

    /// Where the key stands at a moment; the most final state, if several apply.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> KeyState {
        let over = |end: Option<Timestamp>| end.is_some_and(|end| now >= end);
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if over(self.expires_at) {
            KeyState::Expired
        } else if over(self.overlap_until) {
            KeyState::Rotated
        } else if self.disabled {
            KeyState::Disabled
        } else {
            KeyState::Active
        }
    }

    /// The moment from which the key no longer holds by the clock alone.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        match (self.expires_at, self.overlap_until) {
            (Some(expiry), Some(overlap)) => Some(expiry.min(overlap)),
            (end, None) | (None, end) => end,
        }
    }

    /// Whether the key can be used now, here, from this address.
    pub(crate) fn usable(
        &self,
        environment: Environment,
        ip: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        if self.environment != environment {
            return Err(reason::ENVIRONMENT);
        }
        match self.state_at(now) {
            KeyState::Active => {}
            KeyState::Revoked => return Err(reason::REVOKED),
            KeyState::Disabled => return Err(reason::DISABLED),
            KeyState::Expired => return Err(reason::EXPIRED),
            KeyState::Rotated => return Err(reason::ROTATED),
        }
        if self.networks.admit(ip) {
            Ok(())
        } else if ip.is_none() {
            Err(reason::NETWORK_UNKNOWN)
        } else {
            Err(reason::NETWORK)
        }
    }

    /// Puts a new key in this one's place: for stores, inside the transaction that rotates.
    ///
    /// The successor has everything of this key but its id, secret and times of issue and use, and is
    /// of the service's own format also where this key was imported. This key goes on until
    /// `overlap_until`, and never past its expiry.
    ///
    /// # Errors
    /// [`StoreErrorKind::IllegalTransition`] unless this key is active and has no successor yet.
    pub fn rotate(
        &mut self,
        successor: KeyId,
        digest: KeyDigest,
        now: Timestamp,
        overlap_until: Timestamp,
    ) -> Result<Self, StoreError> {
        let state = self.state_at(now);
        if state != KeyState::Active || self.successor.is_some() {
            let message = match state {
                KeyState::Active => format!("the key `{}` was rotated before", self.id),
                state => format!(
                    "the key `{}` is {state:?}; only an active key is rotated",
                    self.id
                ),
            };
            return Err(StoreError::new(StoreErrorKind::IllegalTransition, message));
        }
        let new = Self {
            id: successor,
            verifier: digest.into(),
            created_at: now,
            last_used_at: None,
            ..self.clone()
        };
        self.successor = Some(successor);
        self.overlap_until = Some(match self.expires_at {
            Some(expiry) => expiry.min(overlap_until),
            None => overlap_until,
        });
        Ok(new)
    }
}

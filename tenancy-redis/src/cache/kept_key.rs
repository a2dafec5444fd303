//! What is kept of an API key's record.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenancy_core::{
    KeyId, ProjectId, TenantId, Timestamp, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyHandle, KeyLimits, KeyVerifier, SecretHash},
};

use super::Kept;

/// A key's record, as it is kept. What secrets are compared with is in it.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptKey {
    id: KeyId,
    tenant: TenantId,
    creator: UserId,
    environment: String,
    name: String,
    scopes: Vec<String>,
    project: Option<ProjectId>,
    open_projects_only: bool,
    networks: Vec<String>,
    limits: KeyLimits,
    metadata: Map<String, Value>,
    verifier: KeptVerifier,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    overlap_until: Option<Timestamp>,
    successor: Option<KeyId>,
    disabled: bool,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
enum KeptVerifier {
    Digest(u32, [u8; 32]),
    Argon2id { handle: String, hash: String },
}

impl KeptVerifier {
    fn of(verifier: &KeyVerifier) -> Option<Self> {
        match verifier {
            KeyVerifier::Digest(digest) => Some(Self::Digest(digest.version(), *digest.as_bytes())),
            KeyVerifier::Argon2id { handle, hash } => Some(Self::Argon2id {
                handle: handle.to_string(),
                hash: hash.as_str().to_owned(),
            }),
            _ => None,
        }
    }

    fn verifier(self) -> Option<KeyVerifier> {
        Some(match self {
            Self::Digest(version, bytes) => KeyDigest::new(version, bytes).into(),
            Self::Argon2id { handle, hash } => KeyVerifier::Argon2id {
                handle: handle.parse().ok()?,
                hash: SecretHash::from_stored(hash),
            },
        })
    }
}

impl KeptKey {
    pub(super) fn has_id(&self, id: KeyId) -> bool {
        self.id == id
    }

    pub(super) fn has_handle(&self, environment: Environment, wanted: &KeyHandle) -> bool {
        let KeptVerifier::Argon2id { handle, .. } = &self.verifier else {
            return false;
        };
        self.environment == environment.as_str() && handle == wanted.as_str()
    }
}

impl Kept for KeptKey {
    type Answer = ApiKey;

    fn tenant(&self) -> TenantId {
        self.tenant
    }

    fn of(key: &ApiKey) -> Option<Self> {
        Some(Self {
            id: key.id,
            tenant: key.tenant,
            creator: key.creator,
            environment: key.environment.as_str().to_owned(),
            name: key.name.clone(),
            scopes: texts(&key.scopes),
            project: key.project,
            open_projects_only: key.open_projects_only,
            networks: texts(key.networks.as_slice()),
            limits: key.limits.clone(),
            metadata: key.metadata.clone(),
            verifier: KeptVerifier::of(&key.verifier)?,
            created_at: key.created_at,
            expires_at: key.expires_at,
            overlap_until: key.overlap_until,
            successor: key.successor,
            disabled: key.disabled,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
        })
    }

    fn answer(self) -> Option<ApiKey> {
        let mut key = ApiKey::new(
            self.id,
            self.tenant,
            self.creator,
            Environment::from_stored(&self.environment)?,
            self.verifier.verifier()?,
            self.created_at,
        );
        key.name = self.name;
        let scopes = self.scopes.iter().map(|scope| scope.parse().ok());
        key.scopes = scopes.collect::<Option<_>>()?;
        key.project = self.project;
        key.open_projects_only = self.open_projects_only;
        let networks = self.networks.iter().map(|network| network.parse().ok());
        key.networks = networks.collect::<Option<_>>()?;
        key.limits = self.limits;
        key.metadata = self.metadata;
        key.expires_at = self.expires_at;
        key.overlap_until = self.overlap_until;
        key.successor = self.successor;
        key.disabled = self.disabled;
        key.revoked_at = self.revoked_at;
        key.last_used_at = self.last_used_at;
        Some(key)
    }
}

fn texts(each: &[impl ToString]) -> Vec<String> {
    each.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use tenancy_core::quota::Limit;

    use super::*;
    use crate::cache::json_of;

    /// A key in which everything is another than in a new one.
    fn full(verifier: KeyVerifier) -> ApiKey {
        let now = Timestamp::from_unix_micros(1_800_000_000_000_001);
        let tenant = TenantId::new();
        let mut key = ApiKey::new(
            KeyId::new(),
            tenant,
            UserId::new(),
            Environment::Staging,
            verifier,
            now,
        );
        key.name = "a partner's \"key\"".to_owned();
        key.scopes = vec!["notes:read".parse().unwrap(), "*".parse().unwrap()];
        key.project = Some(ProjectId::new());
        key.open_projects_only = true;
        key.networks = ["192.0.2.0/24".parse().unwrap()].into_iter().collect();
        key.limits = [Limit::rate("requests", 10, Duration::from_secs(60))]
            .into_iter()
            .collect();
        key.metadata.insert("team".to_owned(), Value::from(7));
        key.expires_at = Some(now + Duration::from_secs(1));
        key.overlap_until = Some(now + Duration::from_secs(2));
        key.successor = Some(KeyId::new());
        key.disabled = true;
        key.revoked_at = Some(now + Duration::from_secs(3));
        key.last_used_at = Some(now + Duration::from_secs(4));
        key
    }

    #[test]
    fn a_key_is_read_as_it_was_kept() {
        let imported = KeyVerifier::Argon2id {
            handle: "4711".parse().unwrap(),
            hash: SecretHash::from_stored("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"),
        };
        for verifier in [KeyDigest::new(3, [0xa5; 32]).into(), imported] {
            let key = full(verifier);
            let (tenant, json) = json_of::<KeptKey>(&key).unwrap();
            assert_eq!(tenant, key.tenant);
            let again: KeptKey = serde_json::from_slice(&json).unwrap();
            assert_eq!(again.answer().unwrap(), key);
        }
    }

    #[test]
    fn what_could_not_be_read_again_is_not_kept() {
        let mut key = full(KeyDigest::new(1, [0; 32]).into());
        // No store keeps a part of a millisecond of a limit.
        let odd = Limit::rate("requests", 10, Duration::from_micros(1_500));
        key.limits = [odd].into_iter().collect();
        assert!(json_of::<KeptKey>(&key).is_none());
    }
}

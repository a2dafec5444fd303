//! The check of a permission guard.

use tenancy_core::{ConfigError, PermissionId, Tenancy};

use crate::{DecisionLookup, Error};

/// Requires a permission of requests; an adapter calls it before the inner service.
#[derive(Debug, Clone)]
pub struct Guard {
    tenancy: Tenancy,
    permission: PermissionId,
}

impl Guard {
    /// A guard for a permission that the engine's registry declares.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the permission if it was never declared.
    pub fn new(tenancy: &Tenancy, permission: &str) -> Result<Self, ConfigError> {
        let Some(permission) = tenancy.permissions().id(permission) else {
            return Err(ConfigError::new(format!(
                "a guard requires the permission `{permission}`, which was never declared; add \
                 it to the `PermissionRegistry`"
            )));
        };
        Ok(Self {
            tenancy: tenancy.clone(),
            permission,
        })
    }

    /// Checks a request, and records a refusal.
    ///
    /// # Errors
    /// Status 403 if the caller lacks the permission, 401 if it has yet to say who it is, 500 if
    /// the route has no context or one of another engine.
    pub fn check(&self, asking: DecisionLookup<'_>) -> Result<(), Error> {
        let context = asking.tenant_of(&self.tenancy)?;
        Ok(context.require_id(self.permission)?)
    }
}

#[cfg(test)]
mod tests {
    use tenancy_core::{
        MemoryDirectory,
        jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    };

    use super::*;

    #[test]
    fn a_guard_for_a_permission_nobody_declared_is_not_built() {
        let key = VerificationKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
        let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key);
        let tenancy = Tenancy::builder(MemoryDirectory::new())
            .authenticator(tokens.build().unwrap())
            .build()
            .unwrap();
        let error = Guard::new(&tenancy, "notes:read").unwrap_err().to_string();
        assert!(
            error.contains("`notes:read`") && error.contains("PermissionRegistry"),
            "{error}"
        );
    }
}

//! What the adapters' layers for cross-origin requests share.

use tenancy_core::{ConfigError, CorsPolicy, Tenancy};

/// The policy that a layer is made from.
///
/// # Errors
/// A [`ConfigError`] that says how to give one, if the engine has none.
pub fn cors_policy(tenancy: &Tenancy) -> Result<&CorsPolicy, ConfigError> {
    tenancy.cors_policy().ok_or_else(|| {
        ConfigError::new(
            "`TenancyCors` needs a policy, and the engine was built without one; call \
             `TenancyBuilder::cors(CorsPolicy::new())`",
        )
    })
}

//! What the adapters' layers for cross-origin requests share.

use tenancy_core::{ConfigError, CorsPolicy, Field, RequestView, Tenancy};

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

/// Whether a request of a page asks whether another one may be sent (Fetch §3.2.2). It is answered
/// in the layer, whatever the answer is.
pub fn is_preflight(request: &dyn RequestView, method: &str) -> bool {
    method == "OPTIONS" && request.header("access-control-request-method") != Field::Absent
}

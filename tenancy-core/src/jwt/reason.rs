//! The reasons for which a token is rejected, each with one cause.
//!
//! They are listed for readers in the documentation of `JwtAuthenticator`.

use crate::Rejection;

pub(super) const TOO_LONG: Rejection = Rejection::new("token-too-long");
pub(super) const ENCRYPTED: Rejection = Rejection::new("token-encrypted");
pub(super) const MALFORMED: Rejection = Rejection::new("token-malformed");
pub(super) const HEADER: Rejection = Rejection::new("token-header");
pub(super) const CRITICAL: Rejection = Rejection::new("token-critical");
pub(super) const COMPRESSED: Rejection = Rejection::new("token-compressed");
pub(super) const NESTED: Rejection = Rejection::new("token-nested");
pub(super) const ALGORITHM: Rejection = Rejection::new("token-algorithm");
pub(super) const TYPE: Rejection = Rejection::new("token-type");
pub(super) const KEY_ID: Rejection = Rejection::new("token-key-id");
pub(super) const KEY_UNKNOWN: Rejection = Rejection::new("token-key-unknown");
pub(super) const KEY_AMBIGUOUS: Rejection = Rejection::new("token-key-ambiguous");
pub(super) const SIGNATURE: Rejection = Rejection::new("token-signature");
pub(super) const PAYLOAD: Rejection = Rejection::new("token-payload");
pub(super) const ISSUER: Rejection = Rejection::new("token-issuer");
pub(super) const AUDIENCE: Rejection = Rejection::new("token-audience");
pub(super) const EXPIRY: Rejection = Rejection::new("token-expiry");
pub(super) const EXPIRED: Rejection = Rejection::new("token-expired");
pub(super) const NOT_BEFORE: Rejection = Rejection::new("token-not-before");
pub(super) const NOT_YET_VALID: Rejection = Rejection::new("token-not-yet-valid");
pub(super) const ISSUED_AT: Rejection = Rejection::new("token-issued-at");
pub(super) const ISSUED_IN_FUTURE: Rejection = Rejection::new("token-issued-in-future");
pub(super) const LIFETIME: Rejection = Rejection::new("token-lifetime");
pub(super) const SUBJECT: Rejection = Rejection::new("token-subject");
pub(super) const ACTOR: Rejection = Rejection::new("token-actor");
pub(super) const TENANT_MISSING: Rejection = Rejection::new("token-tenant-missing");
pub(super) const TENANT_MALFORMED: Rejection = Rejection::new("token-tenant-malformed");
pub(super) const TENANT_FOREIGN: Rejection = Rejection::new("token-tenant-foreign");
pub(super) const SCOPE: Rejection = Rejection::new("token-scope");
pub(super) const ROLE: Rejection = Rejection::new("token-role");
pub(super) const APPLICATION: Rejection = Rejection::new("token-application");

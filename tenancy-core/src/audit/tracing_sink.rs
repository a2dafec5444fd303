//! An audit trail as `tracing` events; the default.

use async_trait::async_trait;

use super::{AuditEntry, AuditError, AuditSink, Outcome};

/// Writes each entry as a `tracing` event with the target `tenancy::audit`.
///
/// ```
/// use tenancy_core::{MemoryDirectory, Tenancy, TracingAuditSink};
/// # use tenancy_core::jwt::{Algorithm, JwtAuthenticator, VerificationKey};
/// # let key = VerificationKey::hmac(Algorithm::HS256, [7; 32])?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
///
/// // The same as without a call of `audit`.
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .authenticator(tokens)
///     .audit(TracingAuditSink)
///     .build()?;
/// # drop(tenancy);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
/// Whether the trail is durable is up to the subscriber, which can't be asked: durable entries are
/// refused. Use a sink that stores, where operators read across tenants.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingAuditSink;

#[async_trait]
impl AuditSink for TracingAuditSink {
    fn record(&self, entry: AuditEntry) {
        let actor = entry.actor.as_ref().map(tracing::field::display);
        let tenant = entry.tenant.as_ref().map(tracing::field::display);
        let ip = entry.ip.as_ref().map(tracing::field::display);
        macro_rules! emit {
            ($level:expr) => {
                tracing::event!(
                    target: "tenancy::audit",
                    $level,
                    audit.id = %entry.id,
                    audit.at = %entry.at,
                    audit.action = %entry.action,
                    audit.outcome = entry.outcome.as_str(),
                    audit.reason = entry.reason.as_deref(),
                    audit.target = entry.target.as_deref(),
                    audit.suppressed = entry.suppressed,
                    tenant.id = tenant,
                    principal = actor,
                    client.address = ip,
                    "audit"
                )
            };
        }
        match entry.outcome {
            Outcome::Allowed => emit!(tracing::Level::INFO),
            Outcome::Refused | Outcome::Failed => emit!(tracing::Level::WARN),
        }
    }

    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
        self.record(entry);
        Err(AuditError::new(
            "log events are not durable; give `TenancyBuilder::audit` a sink that stores entries, such as `PgAuditSink`",
        ))
    }
}

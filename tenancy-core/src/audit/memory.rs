//! An audit trail in memory, for tests and first steps.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{AuditEntry, AuditError, AuditSink};

/// Keeps the newest entries in memory.
///
/// ```
/// use std::sync::Arc;
///
/// use tenancy_core::{
///     MemoryAuditSink, MemoryDirectory, Tenancy, TenantRecord, danger,
///     jwt::{Algorithm, JwtAuthenticator, VerificationKey},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = VerificationKey::hmac(Algorithm::HS256, [7; 32])?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
/// let sink = Arc::new(MemoryAuditSink::new(100));
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .authenticator(tokens)
///     .shared_audit(sink.clone())
///     .build()?;
/// let acme = TenantRecord::new("acme".parse()?, "Acme Ltd");
/// tenancy.admin(danger::service("a new customer")?).create_tenant(&acme).await?;
/// let entry = sink.entries().pop().ok_or("nothing was recorded")?;
/// assert_eq!(entry.action, "tenant.create");
/// assert_eq!(entry.reason.as_deref(), Some("a new customer"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MemoryAuditSink {
    capacity: usize,
    entries: Mutex<std::collections::VecDeque<AuditEntry>>,
}

impl MemoryAuditSink {
    /// Keeps at most so many entries; the oldest go first.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: Mutex::default(),
        }
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<AuditEntry> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

#[async_trait]
impl AuditSink for MemoryAuditSink {
    fn record(&self, entry: AuditEntry) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == self.capacity {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// "Durable" here means: as long as the process.
    async fn record_durably(&self, entry: AuditEntry) -> Result<(), AuditError> {
        self.record(entry);
        Ok(())
    }
}

//! The audit trail: who did, or was refused, what.

mod action;
mod anchors;
mod chain;
mod entry;
mod export;
mod hand_over;
mod list;
mod memory;
mod sampler;
mod sink;
mod tracing_sink;
mod trail;

pub use action::{AuditAction, AuditActions};
#[cfg(feature = "jwt")]
pub(crate) use anchors::PAGE as ANCHORS;
pub use anchors::{AnchorFile, AnchorLog, AnchorPage, AnchorStore};
pub use chain::{ChainFault, ChainFaultKind, ChainHash, ChainHead, ChainReport, TrailChain};
pub use entry::{AuditChange, AuditEntry, AuditTarget, Outcome};
pub use export::{ExportFormat, csv_cell};
pub use hand_over::{LinkedEntry, TrailHandOver, TrailReceiver};
pub use list::{AuditDirectory, AuditFilter};
pub use memory::MemoryAuditSink;
pub(crate) use sampler::Sampler;
pub use sink::{AuditError, AuditSink, NoAudit};
pub use tracing_sink::TracingAuditSink;
pub use trail::{AuditTrail, PersonErasure, Pruned};

//! Why a ledger takes no entry.

/// Why a ledger takes no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LedgerErrorKind {
    /// It has a grant of this id, or a draw for this purpose, that says something else.
    Conflict,
    /// The entry can't be meant.
    Invalid,
}

/// Why a ledger takes no entry. Nothing was changed.
///
/// ```
/// use tenancy_core::Timestamp;
/// use tenancy_usage::{credit::{CreditLedger, Grant, LedgerErrorKind}, price::Currency};
///
/// let mut ledger = CreditLedger::new();
/// let euro = Currency::new("EUR")?;
/// ledger.grant(Grant::money("welcome", euro, 20, Timestamp::EPOCH))?;
/// let error = ledger.grant(Grant::money("welcome", euro, 30, Timestamp::EPOCH)).unwrap_err();
/// assert_eq!(error.kind(), LedgerErrorKind::Conflict);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LedgerError {
    kind: LedgerErrorKind,
    message: String,
}

impl LedgerError {
    pub(super) fn new(kind: LedgerErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Why.
    #[must_use]
    pub const fn kind(&self) -> LedgerErrorKind {
        self.kind
    }
}

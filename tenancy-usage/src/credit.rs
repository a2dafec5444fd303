//! Credits and grants: what a tenant may use, or need not pay, in which order, and until when.
//!
//! A [`CreditLedger`] is a list of [entries](LedgerEntry) that only grows. Its balances follow from them.

mod error;
mod grant;
mod ledger;
mod stored;

pub use error::{LedgerError, LedgerErrorKind};
pub use grant::{Grant, GrantUnit};
pub use ledger::{CreditLedger, Draw, LedgerEntry};

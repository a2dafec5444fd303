//! Accounts of the whole service, for applications that have the library keep them: who may sign in, and how.

mod change;
mod record;
mod reset;
mod store;
mod subject;

pub use change::AccountChange;
pub use record::{Account, AccountKey};
pub use reset::{NewPasswordReset, PasswordReset, UsedPasswordReset};
pub use store::{AccountStore, PasswordResetStore};
pub use subject::{ExternalSubject, InvalidSubject};

//! The names of actions: those of the library, and those that an application declares.

use std::{
    borrow::{Borrow, Cow},
    collections::BTreeSet,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{ChangeAction, ConfigError};

/// How many names that nobody has declared are logged, each once.
const LOGGED: usize = 256;

/// What the library records besides changes, which are [`ChangeAction::ALL`].
const OWN: &[&str] = &[
    "alert.raise",
    "cors.preflight",
    "danger.across-tenants",
    "danger.purge-redis",
    "danger.raw-redis",
    "feature.check",
    "job.begin",
    "operator.authenticate",
    "operator.check",
    "operator.list",
    "outbox.drop",
    "outbox.remove-consumer",
    "outbox.retry",
    "permission.check",
    "quota.outage-begin",
    "quota.outage-end",
    "request.admit",
    "request.charge",
    "statement.outside",
    "statement.refuse",
    "statement.run",
    "statement.slow",
    "tenant.enter",
    "trail.read",
    "trail.verify",
    "usage.backfill",
    "usage.correct",
    "usage.prune",
    "usage.read",
    "usage.revert",
];

/// The name of an action of an application, such as `note.share`.
///
/// Declare each with [`TenancyBuilder::audit_actions`](crate::TenancyBuilder::audit_actions), and use the constant where
/// an entry is made:
///
/// ```
/// use tenancy_core::{AuditAction, AuditEntry, Clock as _, Outcome, SystemClock};
///
/// const NOTE_SHARE: AuditAction = AuditAction::new("note.share");
///
/// let entry = AuditEntry::new(SystemClock.now(), NOTE_SHARE, Outcome::Allowed);
/// assert_eq!(entry.action, NOTE_SHARE.as_str());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuditAction(&'static str);

impl AuditAction {
    /// An action of this name: parts of small letters, digits, `_` and `-`, joined by dots, such as `note.share`; 100
    /// bytes at most. The builder checks it.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name in the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Compares as its name does, so that a set of actions is asked for a name.
impl Borrow<str> for AuditAction {
    fn borrow(&self) -> &str {
        self.0
    }
}

impl From<AuditAction> for Cow<'static, str> {
    fn from(action: AuditAction) -> Self {
        Self::Borrowed(action.0)
    }
}

impl From<ChangeAction> for AuditAction {
    fn from(action: ChangeAction) -> Self {
        Self(action.as_str())
    }
}

/// The actions that an engine knows: the library's and those that the application has declared.
///
/// An entry of any other action is kept all the same, because a trail with a hole is worse than a name that nobody
/// knows. It is counted, and logged once for each name.
///
/// ```
/// # use tenancy_core::{AuditAction, MemoryDirectory, Tenancy};
/// # use tenancy_core::jwt::{Algorithm, JwtAuthenticator, VerificationKey};
/// # let key = VerificationKey::hmac(Algorithm::HS256, [7; 32])?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .authenticator(tokens)
///     .audit_actions([AuditAction::new("note.share")])
///     .build()?;
/// let actions = tenancy.audit_actions();
/// assert!(actions.contains("note.share") && actions.contains("tenant.suspend-for-debt") == false);
/// assert!(actions.contains("tenant.create"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AuditActions {
    known: BTreeSet<AuditAction>,
    undeclared: AtomicU64,
    logged: Mutex<BTreeSet<String>>,
}

impl AuditActions {
    pub(crate) fn checked(declared: &[AuditAction]) -> Result<Self, ConfigError> {
        let changes = ChangeAction::ALL.iter().copied().map(AuditAction::from);
        let own = OWN.iter().copied().map(AuditAction::new);
        let mut known: BTreeSet<_> = changes.chain(own).collect();
        for action in declared {
            if !is_name(action.0) {
                return Err(ConfigError::new(format!(
                    "`{action}` is no name of an action; it has parts of small letters, digits, `_` and `-` that begin \
                     with a letter, joined by dots, such as `note.share`, and 100 bytes at most"
                )));
            }
            if !known.insert(*action) {
                return Err(ConfigError::new(format!(
                    "the action `{action}` is declared twice, or is the library's own; give it another name"
                )));
            }
        }
        Ok(Self {
            known,
            undeclared: AtomicU64::new(0),
            logged: Mutex::default(),
        })
    }

    /// Whether there is an action of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// Every action, by name.
    pub fn iter(&self) -> impl Iterator<Item = AuditAction> + '_ {
        self.known.iter().copied()
    }

    /// How many entries were recorded whose action nobody has declared.
    #[must_use]
    pub fn undeclared(&self) -> u64 {
        self.undeclared.load(Ordering::Relaxed)
    }

    /// Counts an entry of this action if nobody has declared it, and says so in the log once for each name.
    pub fn note(&self, name: &str) {
        if self.contains(name) {
            return;
        }
        self.undeclared.fetch_add(1, Ordering::Relaxed);
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < LOGGED && !logged.contains(name) {
            logged.insert(name.to_owned());
            drop(logged);
            tracing::warn!(
                action = name,
                "an audit entry has an action that was never declared; declare it with \
                 `TenancyBuilder::audit_actions`"
            );
        }
    }
}

/// Whether it is the name of an action: two parts at least.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && (part.bytes()).all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
    };
    name.len() <= 100 && name.contains('.') && name.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_when_they_are_declared() {
        let declared = |name| AuditActions::checked(&[AuditAction::new(name)]).is_ok();
        for name in ["note.share", "a.b.c", "x-1.y_2"] {
            assert!(declared(name), "{name}");
        }
        let long: &'static str = Box::leak(format!("a.{}", "b".repeat(99)).into_boxed_str());
        for name in [
            "",
            "note",
            "Note.share",
            "note.",
            ".share",
            "note share",
            "1.a",
            "n\u{f6}te.a",
            "tenant.create",
            "request.admit",
            long,
        ] {
            assert!(!declared(name), "{name}");
        }
        let twice = [AuditAction::new("note.share"); 2];
        assert!(AuditActions::checked(&twice).is_err());
    }

    #[test]
    fn the_librarys_own_names_are_names() {
        let own = AuditActions::checked(&[])
            .map(|actions| actions.iter().all(|action| is_name(action.0)));
        assert!(matches!(own, Ok(true)));
    }

    #[test]
    fn an_action_that_was_never_declared_is_counted_and_keeps_little() {
        let actions = AuditActions::checked(&[]).unwrap_or_else(|error| panic!("{error}"));
        actions.note("tenant.create");
        assert_eq!(actions.undeclared(), 0);
        for number in 0..1_000 {
            actions.note(&format!("made.up-{number}"));
        }
        assert_eq!(actions.undeclared(), 1_000);
        let logged = actions
            .logged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        assert_eq!(logged.len(), LOGGED);
    }
}

//! Which statements of a pool run in autocommit, and how their sessions come to name a tenant.

use crate::{StartError, StartErrorKind, options::SessionMode, plain, session::Access};

/// Other options that have to go with these.
pub(super) struct Others {
    pub(super) resets_session: bool,
    pub(super) has_replicas: bool,
    pub(super) checks_at_commit: bool,
    pub(super) are_sealed: bool,
}

/// What a pool was told about its sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    /// What was asked for.
    pub(super) mode: Option<SessionMode>,
    pub(super) autocommit_writes: bool,
    /// Functions of the application that use or change a session.
    pub(super) functions: Vec<Box<str>>,
}

impl Sessions {
    /// Refuses what contradicts another option.
    pub(super) fn check(&self, pool: &Others) -> Result<(), StartError> {
        let message = match self.mode {
            Some(SessionMode::Switched | SessionMode::Pinned) if !pool.resets_session => {
                "sessions that name a tenant have to be reset; leave out `reset_session(false)`, or \
                 choose `sessions(SessionMode::Transaction)`"
            }
            _ if pool.are_sealed && !pool.resets_session => {
                "sessions that are sealed have to be reset, or what one tenant's statements leave there \
                 runs as the next one; leave out `reset_session(false)`"
            }
            Some(SessionMode::Transaction) if self.autocommit_writes => {
                "with `sessions(SessionMode::Transaction)`, nothing runs in autocommit; leave out \
                 `autocommit_writes(true)`, or choose `SessionMode::Switched`"
            }
            // How far the log is, which replicas have to show, is asked in the round trip of COMMIT.
            _ if self.autocommit_writes && pool.has_replicas => {
                "with a `replica`, writes run in transactions; leave out `autocommit_writes(true)`"
            }
            _ if self.autocommit_writes && !pool.resets_session => {
                "without a reset, nothing runs in autocommit; leave out `reset_session(false)` or \
                 `autocommit_writes(true)`"
            }
            _ if self.autocommit_writes && pool.checks_at_commit => {
                "a write in autocommit is committed before its tenant could be checked; leave out \
                 `check_tenant_at_commit(true)` or `autocommit_writes(true)`"
            }
            _ => return self.check_functions(),
        };
        Err(StartError::new(
            StartErrorKind::BadOptions,
            message.to_owned(),
        ))
    }

    /// Refuses names that no statement has: with a schema, with arguments, in quotes, or none at all.
    fn check_functions(&self) -> Result<(), StartError> {
        match self.functions.iter().find(|name| !plain::is_name(name)) {
            None => Ok(()),
            Some(name) => Err(StartError::new(
                StartErrorKind::BadOptions,
                format!(
                    "`session_functions` has {name:?}, which is no function's name; give the name alone, \
                     without schema, parentheses and quotes, such as \"lock_board\""
                ),
            )),
        }
    }

    /// Settles the mode, where sessions can name a tenant or can't, and where they are sealed.
    pub(super) fn settle(&mut self, can_name: bool, are_sealed: bool) {
        self.mode = Some(match self.mode {
            _ if !can_name => SessionMode::Transaction,
            Some(mode) => mode,
            None if are_sealed => SessionMode::Pinned,
            None => SessionMode::default(),
        });
    }

    /// How plain statements with this access run, if not in a transaction.
    pub(super) fn autocommit(&self, access: Access) -> Option<SessionMode> {
        let mode = self.mode.filter(|mode| *mode != SessionMode::Transaction)?;
        (access == Access::Read || self.autocommit_writes).then_some(mode)
    }

    pub(super) fn is_plain(&self, sql: &str) -> bool {
        plain::is_plain(sql, &self.functions)
    }
}

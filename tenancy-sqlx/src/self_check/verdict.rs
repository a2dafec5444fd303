//! What follows from findings: a refusal that names them all, or lines in the log.

use std::fmt::Write as _;

use super::{StartError, StartErrorKind};
use crate::schema::{Finding, FindingLevel};

/// Codes of what a session starts with, rather than of what its login is.
const OF_SETTINGS: [&str; 2] = ["default-setting", "session-setting"];

/// Refuses a login if there is an error among the findings.
pub(super) fn refuse(login: &str, findings: &[Finding]) -> Result<(), StartError> {
    // Of an administrator nothing else is of interest, and no statement would be a mend.
    let administrator = findings
        .iter()
        .position(|one| one.code() == "login-bypasses");
    let findings = match administrator.and_then(|at| findings.get(at..=at)) {
        Some(alone) => alone,
        None => findings,
    };
    let Some(list) = errors(findings) else {
        return Ok(());
    };
    let errors = || {
        findings
            .iter()
            .filter(|one| one.level() == FindingLevel::Error)
    };
    let of_settings = |one: &Finding| OF_SETTINGS.contains(&one.code());
    let bypasses = errors().any(|one| one.is_of_login() && !of_settings(one));
    let kind = if bypasses {
        StartErrorKind::LoginBypasses
    } else if errors().any(Finding::is_of_login) {
        StartErrorKind::BadDefaults
    } else {
        StartErrorKind::Unguarded
    };
    let mut message = format!("`{login}` could get past row security:{list}");
    if bypasses {
        message.push_str(
            "\nMend that, or connect as the app role that `tenancy_sqlx::schema::Installer` made (by \
             default `tenancy_app`). For development with one login see \
             `tenancy_sqlx::danger::assume_app_role`",
        );
    }
    Err(StartError::new(kind, message))
}

/// The errors among the findings, one to a line; `None` if there are none.
pub(super) fn errors(findings: &[Finding]) -> Option<String> {
    let mut list = String::new();
    for finding in findings {
        if finding.level() == FindingLevel::Error {
            let _ = write!(list, "\n* {finding}");
        }
    }
    (!list.is_empty()).then_some(list)
}

/// Logs the warnings, each once.
pub(crate) fn warn(findings: &[Finding]) {
    for finding in findings {
        if finding.level() == FindingLevel::Warning {
            tracing::warn!(
                code = finding.code(),
                subject = finding.subject(),
                "the database could be guarded better: {finding}"
            );
        }
    }
}

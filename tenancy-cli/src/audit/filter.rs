//! Which entries are told.

use clap::{Args, ValueEnum};
use tenancy_core::{Actor, AuditFilter, AuditTarget, Outcome, ProjectId, Timestamp};

use crate::moment::moment;

/// Which entries; all that is given has to hold together.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which entries")]
pub(super) struct Filter {
    /// Only entries of this action, such as `membership.put`
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    /// Only what this actor did, or was refused: `user:ID`, `key:ID`, `service:ID`, `operator:ID`, `job:NAME`, `system`, `anonymous`
    #[arg(long, value_name = "ACTOR", value_parser = actor)]
    actor: Option<Actor>,
    /// Only what was done to this, such as `user:ID`
    #[arg(long, value_name = "TYPE:ID", value_parser = target)]
    target: Option<AuditTarget>,
    /// Only what concerns this project
    #[arg(long, value_name = "ID")]
    project: Option<ProjectId>,
    /// Only what ended so
    #[arg(long, value_enum)]
    outcome: Option<Ended>,
    /// Only what happened at this moment or later: a day in UTC, or a moment of RFC 3339
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    from: Option<Timestamp>,
    /// Only what happened before this moment
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    until: Option<Timestamp>,
}

/// How an action ended.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ended {
    Allowed,
    Refused,
    Failed,
}

impl Filter {
    pub(super) fn filter(&self) -> AuditFilter {
        let mut filter = AuditFilter::new();
        if let Some(action) = &self.action {
            filter = filter.action(action.clone());
        }
        if let Some(actor) = &self.actor {
            filter = filter.actor(actor.clone());
        }
        if let Some(target) = &self.target {
            filter = filter.target(target.clone());
        }
        if let Some(project) = self.project {
            filter = filter.project(project);
        }
        if let Some(outcome) = self.outcome {
            filter = filter.outcome(match outcome {
                Ended::Allowed => Outcome::Allowed,
                Ended::Refused => Outcome::Refused,
                Ended::Failed => Outcome::Failed,
            });
        }
        if let Some(from) = self.from {
            filter = filter.from(from);
        }
        if let Some(until) = self.until {
            filter = filter.until(until);
        }
        filter
    }
}

fn actor(text: &str) -> Result<Actor, &'static str> {
    let wrong = "expected `user:ID`, `key:ID`, `service:ID`, `operator:ID`, `job:NAME`, `system` or `anonymous`";
    let (kind, id) = match text.split_once(':') {
        Some((kind, id)) => (kind, Some(id)),
        None => (text, None),
    };
    if let ("job", Some(name)) = (kind, id) {
        return name.parse().map(Actor::Job).map_err(|_| wrong);
    }
    // Each id is written in the same way.
    let id = id.map(str::parse::<ProjectId>).transpose();
    let id = id.map_err(|_| wrong)?.map(|id| id.as_uuid());
    Actor::from_stored(kind, id).ok_or(wrong)
}

fn target(text: &str) -> Result<AuditTarget, &'static str> {
    match text.split_once(':') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
            Ok(AuditTarget::new(kind.to_owned(), id))
        }
        _ => Err("expected the kind of the target and its id, such as `note:4711`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_written_as_the_trail_writes_it() {
        let id = "0199c0de-0000-7000-8000-000000000001";
        for kind in ["user", "key", "service", "operator"] {
            let text = format!("{kind}:{id}");
            assert_eq!(actor(&text).map(|actor| actor.to_string()), Ok(text));
        }
        for text in ["job:nightly", "system", "anonymous"] {
            let read = actor(text).map(|actor| actor.to_string());
            assert_eq!(read, Ok(text.to_owned()));
        }
        for wrong in [
            "",
            "user",
            "user:",
            "user:4711",
            "job:",
            "system:1",
            &format!("owner:{id}"),
        ] {
            assert!(actor(wrong).is_err(), "{wrong}");
        }
    }
}

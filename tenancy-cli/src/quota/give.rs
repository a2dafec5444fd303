//! `tenancy quota override` and `tenancy quota clear`.

use clap::Args;
use serde_json::json;
use tenancy_core::{ConfigError, OperatorRight, PlanDefinition, Timestamp, quota::LimitOverride};

use crate::{
    connect::Session,
    declared::{Books, Declares},
    failure::{Failure, Verdict},
    managing::{How, Whose, find_tenant},
    moment::moment,
    output::{Output, plain},
};

/// Give a tenant a limit of its own in the place of one of its plan, for a time or for good.
///
/// The limit is written as in a plan. It takes the place of the limit with its name, which is that of the plan's if both
/// count alike. The service has to read stored overrides (`TenancyBuilder::stored_overrides`).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy quota override exports 'per_month = 200' --until 2027-02-01 --tenant acme \\
      --service service.toml --plans plans.toml --operator $ME --reason 'good will, ticket 4711'
  tenancy quota override projects unlimited --tenant acme --service service.toml --operator $ME --reason 'contract 17'")]
pub(super) struct Override {
    /// The meter
    meter: String,
    /// The limit, as in a plan: `per_month = 200`, `rate = 60, per = \"minute\"`, `held = 50`, `unlimited`
    limit: String,
    #[command(flatten)]
    whose: Whose,
    /// From this moment on the plan's own counts again: a day in UTC, or a moment of RFC 3339
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    until: Option<Timestamp>,
    #[command(flatten)]
    service: Declares,
    #[command(flatten)]
    books: Books,
    #[command(flatten)]
    pub(super) how: How,
}

/// Take back what a tenant has in the place of a limit: the plan's own counts again.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy quota clear exports-monthly --tenant acme --operator $ME --reason 'ticket 4711'")]
pub(super) struct Clear {
    /// The name of the limit, as `tenancy quota show` has it
    #[arg(value_name = "LIMIT")]
    limit: String,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub(super) how: How,
}

impl Override {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let with = limit(&self.meter, &self.limit, self.until)?;
        let now = session.tenancy.clock().now();
        if let Some(until) = self.until.filter(|until| *until <= now) {
            return Err(Failure::Told(format!(
                "it would have ended at {until}; give a moment to come by --until, or leave it out"
            )));
        }
        let stored = session.directory.clone();
        let declared = self.service.read()?;
        let tenancy = declared.engine_with(session, &self.books, |builder| {
            builder.stored_overrides(stored)
        })?;
        let right = OperatorRight::ChangePlans;
        let admin = self.how.admin_of(&tenancy, session, right).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?;
        admin.put_limit_override(tenant.id, &with).await?;
        let until = self.until.map(|until| until.to_string());
        let text = format!(
            "the tenant `{}` has a limit of its own of `{}`, {}",
            tenant.slug,
            plain(&self.meter),
            until
                .as_ref()
                .map_or_else(|| "for good".to_owned(), |until| format!("until {until}")),
        );
        let json = json!({ "tenant": tenant.id, "meter": self.meter, "until": until });
        output.good(&text, &json).await?;
        Ok(Verdict::Done)
    }
}

impl Clear {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let admin = self.how.admin(session, OperatorRight::ChangePlans).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?;
        admin.remove_limit_override(tenant.id, &self.limit).await?;
        let text = format!(
            "the tenant `{}` has nothing in the place of the limit `{}`",
            tenant.slug,
            plain(&self.limit)
        );
        let json = json!({ "tenant": tenant.id, "limit": self.limit });
        output.good(&text, &json).await?;
        Ok(Verdict::Done)
    }
}

/// Reads a limit as a plan would have it, which has its syntax.
fn limit(meter: &str, text: &str, until: Option<Timestamp>) -> Result<LimitOverride, Failure> {
    let of = |error: ConfigError| Failure::Told(format!("the limit `{}`: {error}", plain(text)));
    let trimmed = text.trim();
    let value = match trimmed {
        "unlimited" | "not included" => format!("\"{trimmed}\""),
        _ if trimmed.starts_with('{') => trimmed.to_owned(),
        _ => format!("{{ {trimmed} }}"),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if meter.is_empty() || !meter.chars().all(is_name) {
        return Err(Failure::Told(format!(
            "`{}` is no name of a meter",
            plain(meter)
        )));
    }
    if trimmed.contains(['\n', '\r']) {
        return Err(of(ConfigError::new("give one limit, in one line")));
    }
    let plan = format!("plans.it.permissions = []\nplans.it.limits.\"{meter}\" = {value}\n");
    let plans = PlanDefinition::each_from_toml(&plan).map_err(of)?;
    let said = plans.first().map(PlanDefinition::as_json);
    let said = said.and_then(|plan| plan.get("limits")?.get(meter));
    let said = said.ok_or_else(|| of(ConfigError::new("it says nothing")))?;
    LimitOverride::from_stored(meter, said, until).map_err(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_as_in_a_plan() {
        for text in [
            "per_month = 200",
            "{ per_month = 200 }",
            "unlimited",
            "rate = 60, per = 'minute'",
        ] {
            assert!(limit("exports", text, None).is_ok(), "{text}");
        }
        for (meter, text) in [
            ("exports", ""),
            ("exports", "per_month = -1"),
            ("exports", "monthly = 1"),
            ("exports", "per_month = 1 }\nplans.other.permissions = ['*'"),
            ("ex\"ports", "per_month = 1"),
        ] {
            assert!(limit(meter, text, None).is_err(), "{meter} {text}");
        }
    }
}

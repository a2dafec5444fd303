//! `tenancy quota show`.

use clap::Args;
use serde_json::{Value, json};
use tenancy_core::{OperatorRight, TenantId, Timestamp, quota::LimitOverride};

use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, Whose, find_tenant},
    output::Output,
    table::{Row, Table, cell},
};

/// Show what a tenant has in the place of limits of its plan, also what has ended.
///
/// What is used of a limit is counted where the service counts, and is not shown here.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy quota show --tenant acme --operator $ME --reason 'ticket 4711'")]
pub(super) struct Show {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub(super) how: How,
}

impl Show {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let admin = self.how.admin(session, OperatorRight::ReadTenants).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        self.how
            .record_reading(session, tenant, "limit-overrides")
            .await?;
        let overrides = admin.list_limit_overrides(tenant).await?;
        let now = session.tenancy.clock().now();
        let mut rows = Vec::new();
        for one in &overrides {
            rows.push(row(tenant, one, now)?);
        }
        let mut table = Table::new(&["LIMIT", "METER", "COUNTS", "UNTIL", "INSTEAD"]);
        table.rows(rows, output).await?;
        table.end(output, "the limits of its plan count");
        Ok(Verdict::Done)
    }
}

fn row(tenant: TenantId, one: &LimitOverride, now: Timestamp) -> Result<Row, Failure> {
    let counts = one.ends_at().is_none_or(|end| now < end);
    let mut definition = one.definition()?;
    if let Value::Object(fields) = &mut definition {
        // It stands in a column of its own.
        fields.remove("name");
    }
    let cells = vec![
        one.limit_name(),
        one.meter().to_owned(),
        if counts { "yes" } else { "ended" }.to_owned(),
        cell(one.ends_at()),
        definition.to_string(),
    ];
    let json = json!({
        "tenant": tenant,
        "limit": one.limit_name(),
        "meter": one.meter(),
        "counts": counts,
        "until": one.ends_at().map(|end| end.to_string()),
        "definition": definition,
    });
    Ok((cells, json))
}

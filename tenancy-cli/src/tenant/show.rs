//! `tenancy tenant show`.

use clap::Args;
use serde_json::{Value, json};
use tenancy_core::{OperatorRight, TenantKey};

use super::list::object;
use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, PAGE, find_tenant, tenant_key},
    output::{Output, plain},
    table::cell,
};

/// Show one tenant, with its settings, its domains and its ids in other systems.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy tenant show acme --operator $ME --reason 'ticket 4711'")]
pub(super) struct Show {
    /// The tenant, by its id or slug
    #[arg(value_name = "TENANT", value_parser = tenant_key)]
    tenant: TenantKey,
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
        let tenant = find_tenant(session, &self.tenant).await?;
        self.how
            .record_reading(session, tenant.id, "tenant")
            .await?;
        let mut names = Vec::new();
        loop {
            let page = admin.list_names(tenant.id, names.last(), PAGE).await?;
            if page.is_empty() {
                break;
            }
            names.extend(page);
        }
        let mut json = object(&tenant);
        if let Value::Object(fields) = &mut json {
            fields.insert("settings".to_owned(), tenant.settings.as_json().clone());
            let told = names.iter().map(|name| told(name).1).collect();
            fields.insert("names".to_owned(), told);
        }
        let mut lines = format!(
            "id        {}\nslug      {}\nname      {}\nstatus    {}\nplan      {}\ncreated   {}\nsettings  {}",
            tenant.id,
            tenant.slug,
            plain(&tenant.name),
            tenant.status,
            plain(&cell(tenant.plan.as_ref())),
            tenant.created_at,
            plain(&tenant.settings.as_json().to_string()),
        );
        for name in &names {
            lines.push_str("\nalso      ");
            lines.push_str(&plain(&told(name).0));
        }
        output.result(&lines, &json).await?;
        Ok(Verdict::Done)
    }
}

fn told(name: &TenantKey) -> (String, Value) {
    match name {
        TenantKey::Domain(domain) => (format!("domain {domain}"), json!({ "domain": domain })),
        TenantKey::External { provider, id } => (
            format!("{provider} {id}"),
            json!({ "provider": provider, "id": id }),
        ),
        _ => (String::new(), Value::Null),
    }
}

//! `tenancy tenant create`.

use clap::Args;
use serde_json::json;
use tenancy_core::{OperatorRight, Provisioning, Slug, TenantRecord, UserId};

use crate::{
    connect::Session,
    declared::Books,
    failure::{Failure, Verdict},
    managing::How,
    output::{Output, plain},
    plan::engine_that_names,
};

/// Make a tenant: active with an owner, or without one and served to nobody yet.
///
/// With an owner it is active at once. Without one it is in the status `provisioning`; `tenancy member add` and
/// `tenancy tenant resume` go on from there. Accounts and keys are made by the service, and not here.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy tenant create acme 'Acme Ltd' --owner $ANN --plan trial --operator $ME --reason 'contract 17'
  ACME=$(tenancy tenant create acme 'Acme Ltd' --quiet --operator $ME --reason 'contract 17')")]
pub(super) struct Create {
    /// The slug: letters, digits and hyphens, unique among all tenants
    slug: Slug,
    /// The name for people
    name: String,
    /// The user who owns it
    #[arg(long, value_name = "USER")]
    owner: Option<UserId>,
    /// Its plan: one of --plans, or a stored one, such as `pro` for its newest version
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    #[command(flatten)]
    books: Books,
    /// A key of your own for this request: sent again with the same arguments, it makes no second tenant
    #[arg(long, value_name = "KEY", requires = "owner")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    pub(super) how: How,
}

impl Create {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let tenancy = engine_that_names(session, &self.books)?;
        let right = OperatorRight::ChangeTenants;
        let admin = self.how.admin_of(&tenancy, session, right).await?;
        let (id, again) = match self.owner {
            Some(owner) => {
                let mut wanted = Provisioning::new(self.slug.clone(), &self.name, owner);
                if let Some(plan) = &self.plan {
                    wanted = wanted.plan(plan);
                }
                if let Some(key) = &self.idempotency_key {
                    wanted = wanted.idempotency_key(key);
                }
                let made = admin.provision(&wanted).await?;
                (made.tenant, made.replayed)
            }
            None => {
                let mut tenant = TenantRecord::new(self.slug.clone(), &self.name);
                tenant.created_at = tenancy.clock().now();
                tenant.plan.clone_from(&self.plan);
                admin.create_tenant(&tenant).await?;
                (tenant.id, false)
            }
        };
        let done = if again { "was made before" } else { "is made" };
        let text = format!(
            "{id}: the tenant `{}`, {}, {done}",
            self.slug,
            plain(&self.name)
        );
        let json = json!({ "id": id, "slug": self.slug, "made_before": again });
        output.made(&id.to_string(), &text, &json).await?;
        Ok(Verdict::Done)
    }
}

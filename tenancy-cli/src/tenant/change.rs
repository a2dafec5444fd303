//! Changes of one tenant.

use clap::Args;
use serde_json::json;
use tenancy_core::{Admin, DomainName, OperatorRight, Slug, TenantKey, TenantRecord, TenantStatus};

use super::list::object;
use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, Meant, find_tenant, tenant_key},
    output::{Output, plain},
};

/// Give a tenant another name for people.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy tenant rename acme 'Acme & Daughters' --operator $ME --reason 'ticket 4711'")]
pub(super) struct Rename {
    /// The tenant, by its id or slug
    #[arg(value_name = "TENANT", value_parser = tenant_key)]
    tenant: TenantKey,
    /// The new name
    name: String,
    #[command(flatten)]
    pub(super) how: How,
}

/// Give a tenant another slug. The old one rests for 90 days before another tenant may take it.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy tenant set-slug acme acme-and-daughters --operator $ME --reason 'asked for by the owner, ticket 4711'")]
pub(super) struct SetSlug {
    /// The tenant, by its id or slug
    #[arg(value_name = "TENANT", value_parser = tenant_key)]
    tenant: TenantKey,
    /// The new slug
    slug: Slug,
    #[command(flatten)]
    pub(super) how: How,
}

/// Suspend a tenant: its requests are refused until it is resumed.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy tenant suspend acme --operator $ME --reason 'incident 12'")]
pub(super) struct Suspend {
    /// The tenant, by its id or slug
    #[arg(value_name = "TENANT", value_parser = tenant_key)]
    tenant: TenantKey,
    #[command(flatten)]
    pub(super) how: How,
}

/// Make a tenant active: a new one, one that was suspended or past due, or one that waits for its deletion.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy tenant resume acme --operator $ME --reason 'incident 12 is over'")]
pub(super) struct Resume {
    /// The tenant, by its id or slug
    #[arg(value_name = "TENANT", value_parser = tenant_key)]
    tenant: TenantKey,
    #[command(flatten)]
    pub(super) how: How,
}

/// Say that a tenant's bill is unpaid. It is served all the same, so that it can pay.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy tenant past-due acme --operator $ME --reason 'invoice 2027-01'")]
pub(super) struct PastDue {
    /// The tenant, by its id or slug
    #[arg(value_name = "TENANT", value_parser = tenant_key)]
    tenant: TenantKey,
    #[command(flatten)]
    pub(super) how: How,
}

/// Close a tenant: its requests are refused, and it waits for its deletion. Until that, `resume` takes it back.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy tenant close acme --yes --operator $ME --reason 'contract 17 has ended'")]
pub(super) struct Close {
    /// The tenant, by its id or slug
    #[arg(value_name = "TENANT", value_parser = tenant_key)]
    tenant: TenantKey,
    #[command(flatten)]
    meant: Meant,
    #[command(flatten)]
    pub(super) how: How,
}

/// What names a tenant besides its id and slug.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Also {
    /// A domain that the tenant owns; nothing here makes sure of that
    #[arg(long, value_name = "NAME")]
    domain: Option<DomainName>,
    /// Another system, and the tenant's id there: `github=4711`
    #[arg(long, value_name = "SYSTEM=ID", value_parser = external)]
    external: Option<(String, String)>,
}

/// Have a domain, or an id in another system, name a tenant.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy tenant bind acme --domain notes.acme.example --operator $ME --reason 'verified, ticket 4711'
  tenancy tenant bind acme --external github=4711 --operator $ME --reason 'ticket 4711'")]
pub(super) struct Bind {
    /// The tenant, by its id or slug
    #[arg(value_name = "TENANT", value_parser = tenant_key)]
    tenant: TenantKey,
    #[command(flatten)]
    also: Also,
    #[command(flatten)]
    pub(super) how: How,
}

/// Have a domain, or an id in another system, name this tenant no more.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy tenant unbind acme --domain notes.acme.example --operator $ME --reason 'ticket 4711'")]
pub(super) struct Unbind {
    /// The tenant, by its id or slug
    #[arg(value_name = "TENANT", value_parser = tenant_key)]
    tenant: TenantKey,
    #[command(flatten)]
    also: Also,
    #[command(flatten)]
    pub(super) how: How,
}

fn external(text: &str) -> Result<(String, String), &'static str> {
    let parts = text
        .split_once('=')
        .filter(|(system, id)| !system.is_empty() && !id.is_empty());
    let (system, id) = parts.ok_or("expected a system and the id there, such as `github=4711`")?;
    Ok((system.to_owned(), id.to_owned()))
}

/// The management service, and the tenant.
async fn begin(
    how: &How,
    session: &Session,
    key: &TenantKey,
) -> Result<(Admin, TenantRecord), Failure> {
    let admin = how.admin(session, OperatorRight::ChangeTenants).await?;
    Ok((admin, find_tenant(session, key).await?))
}

/// Moves a tenant to a status. Not from one of these, from which it would mean something else than the command says.
async fn move_to(
    status: TenantStatus,
    but_from: &[TenantStatus],
    how: &How,
    key: &TenantKey,
    (session, output): (&Session, &mut Output),
) -> Result<Verdict, Failure> {
    let (admin, tenant) = begin(how, session, key).await?;
    let was = tenant.status;
    if but_from.contains(&was) {
        return Err(Failure::Told(format!(
            "the tenant `{}` is {was}, and stays so: `tenancy tenant resume` makes it active first, if that is meant",
            tenant.slug
        )));
    }
    let tenant = admin.set_status(tenant.id, status).await?;
    let text = format!("the tenant `{}` is {status} now; it was {was}", tenant.slug);
    output.good(&text, &object(&tenant)).await?;
    Ok(Verdict::Done)
}

impl Rename {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let (admin, tenant) = begin(&self.how, session, &self.tenant).await?;
        admin.rename(tenant.id, &self.name).await?;
        let text = format!("the tenant `{}` is {} now", tenant.slug, plain(&self.name));
        let json = json!({ "id": tenant.id, "name": self.name });
        output.good(&text, &json).await?;
        Ok(Verdict::Done)
    }
}

impl SetSlug {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let (admin, tenant) = begin(&self.how, session, &self.tenant).await?;
        admin.set_slug(tenant.id, &self.slug).await?;
        let text = format!("the tenant `{}` is `{}` now", tenant.slug, self.slug);
        let json = json!({ "id": tenant.id, "slug": self.slug });
        output.good(&text, &json).await?;
        Ok(Verdict::Done)
    }
}

impl Suspend {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let (to, closed) = (TenantStatus::Suspended, [TenantStatus::PendingDeletion]);
        move_to(to, &closed, &self.how, &self.tenant, (session, output)).await
    }
}

impl Resume {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let to = TenantStatus::Active;
        move_to(to, &[], &self.how, &self.tenant, (session, output)).await
    }
}

impl PastDue {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        // Who is suspended is refused, and who is past due is served.
        let refused = [TenantStatus::Suspended, TenantStatus::PendingDeletion];
        let to = TenantStatus::PastDue;
        move_to(to, &refused, &self.how, &self.tenant, (session, output)).await
    }
}

impl Close {
    pub(super) fn confirm(&self) -> Result<(), Failure> {
        self.meant
            .confirm("closing a tenant refuses all its requests")
    }

    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let to = TenantStatus::PendingDeletion;
        move_to(to, &[], &self.how, &self.tenant, (session, output)).await
    }
}

impl Bind {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let (admin, tenant) = begin(&self.how, session, &self.tenant).await?;
        if let Some(domain) = &self.also.domain {
            admin.bind_domain(tenant.id, domain).await?;
        }
        if let Some((system, id)) = &self.also.external {
            admin.bind_external(tenant.id, system, id).await?;
        }
        let text = format!(
            "{} names the tenant `{}` now",
            self.also.told(),
            tenant.slug
        );
        output.good(&text, &json!({ "id": tenant.id })).await?;
        Ok(Verdict::Done)
    }
}

impl Unbind {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let (admin, tenant) = begin(&self.how, session, &self.tenant).await?;
        if let Some(domain) = &self.also.domain {
            admin.unbind_domain(tenant.id, domain).await?;
        }
        if let Some((system, id)) = &self.also.external {
            admin.unbind_external(tenant.id, system, id).await?;
        }
        let text = format!(
            "{} does not name the tenant `{}`",
            self.also.told(),
            tenant.slug
        );
        output.good(&text, &json!({ "id": tenant.id })).await?;
        Ok(Verdict::Done)
    }
}

impl Also {
    fn told(&self) -> String {
        let domain = self
            .domain
            .as_ref()
            .map(|domain| format!("the domain {domain}"));
        let external = self.external.as_ref();
        let external = external.map(|(system, id)| plain(&format!("{id} of {system}")));
        domain.or(external).unwrap_or_default()
    }
}

//! A tenant with all that it begins with: made as one, and made part by part.

use tenancy_core::{
    Membership, Project, ProjectMembership, Provisioning, Slug, SystemRole, Tenancy, TenantRecord,
    TenantStatus, UserId,
    key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, NewKey, Pepper},
    testing::service,
};
use tenancy_sqlx::{PgDirectory, RegistryPool};
use tenancy_tests::{
    Server, Version,
    notes::{self, Notes, PASSWORD, PEPPER},
};

use crate::ratio::{self, Bound};

pub(crate) async fn run() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let notes = Notes::start(&server).await?;
    let options = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let registry = RegistryPool::connect_with(options).await?;
    let directory = PgDirectory::connect_with(notes.app_options(), 2).await?;
    let directory = directory.with_registry(&registry);
    let hasher = HmacKeyHasher::new(Pepper::new(1, PEPPER)?);
    let format = KeyFormat::new("notes", Environment::Live)?;
    let keys = ApiKeys::new(format, hasher, directory.clone());
    let tenancy = notes::builder(directory)?.keys(keys).build()?;

    ratio::heading("a tenant with owner, project, first key and two names, on PostgreSQL");
    let rounds = ratio::by_turns(
        5,
        async || as_one(&tenancy).await.unwrap(),
        async || part_by_part(&tenancy).await.unwrap(),
    )
    .await;
    // As one it commits once, and part by part seven times.
    ratio::pair("as one : part by part", &rounds, "us", Bound::AtMost(1.0));
    notes.database.close().await?;
    Ok(())
}

fn slug() -> anyhow::Result<Slug> {
    Ok(format!("t-{}", UserId::new().as_uuid().simple()).parse()?)
}

async fn as_one(tenancy: &Tenancy) -> anyhow::Result<()> {
    let slug = slug()?;
    let wanted = Provisioning::new(slug.clone(), "Initech", UserId::new())
        .project("general".parse()?, "General")
        .external("stripe", slug.as_str())
        .domain(format!("{slug}.example").parse()?)
        .first_key("first key", ["notes:read".parse()?])
        .idempotency_key(slug.as_str());
    tenancy.admin(service()).provision(&wanted).await?;
    Ok(())
}

async fn part_by_part(tenancy: &Tenancy) -> anyhow::Result<()> {
    let (slug, owner, admin) = (slug()?, UserId::new(), tenancy.admin(service()));
    let tenant = TenantRecord::new(slug.clone(), "Initech").with_status(TenantStatus::Active);
    let role = SystemRole::Owner.name();
    admin.create_tenant(&tenant).await?;
    admin
        .put_membership(&Membership::new(tenant.id, owner, role.clone()))
        .await?;
    admin
        .bind_external(tenant.id, "stripe", slug.as_str())
        .await?;
    admin
        .bind_domain(tenant.id, &format!("{slug}.example").parse()?)
        .await?;
    let project = Project::new(tenant.id, "general".parse()?, "General");
    admin.put_project(&project).await?;
    let member = ProjectMembership::new(tenant.id, project.id, owner, role);
    admin.put_project_membership(&member).await?;
    let new = NewKey::new(tenant.id, owner, "first key", ["notes:read".parse()?]);
    drop(tenancy.keys()?.by(service()).issue(new).await?);
    Ok(())
}

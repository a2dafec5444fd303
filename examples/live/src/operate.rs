//! Adding and suspending tenants from the command line.

use tenancy::{Membership, SystemRole, TenantRecord, TenantStatus, danger};

use crate::{Result, setup};

/// Adds a tenant with its owner, makes it active, and prints its id.
pub(crate) async fn provision(slug: &str, name: &str, owner: &str) -> Result<()> {
    let tenant = TenantRecord::new(slug.parse()?, name);
    let owner = Membership::new(tenant.id, owner.parse()?, SystemRole::Owner.name());
    let tenancy = setup::tenancy().await?;
    let admin = tenancy.admin(danger::service("provisioned on the command line")?);
    admin.create_tenant(&tenant).await?;
    admin.put_membership(&owner).await?;
    admin.set_status(tenant.id, TenantStatus::Active).await?;
    println!("{}", tenant.id);
    Ok(())
}

/// Suspends a tenant. A process that serves ends its streams within the staleness bound.
pub(crate) async fn suspend(tenant: &str) -> Result<()> {
    let tenancy = setup::tenancy().await?;
    let admin = tenancy.admin(danger::service("suspended on the command line")?);
    admin.suspend(tenant.parse()?).await?;
    Ok(())
}

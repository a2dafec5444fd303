//! Adding a tenant from the command line.

use tenancy::{Membership, SystemRole, TenantRecord, TenantStatus, danger};

/// Adds a tenant with its owner, and makes it active.
pub(crate) async fn run(
    slug: &str,
    name: &str,
    owner: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let tenancy = crate::setup::tenancy().await?;
    let tenant = TenantRecord::new(slug.parse()?, name);
    let admin = tenancy.admin(danger::service("provisioned on the command line")?);
    admin.create_tenant(&tenant).await?;
    let owner = Membership::new(tenant.id, owner.parse()?, SystemRole::Owner.name());
    admin.put_membership(&owner).await?;
    admin.set_status(tenant.id, TenantStatus::Active).await?;
    println!("{}", tenant.id);
    Ok(())
}

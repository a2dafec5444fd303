//! Organizations: the tenants, which their members make themselves.

use tenancy::{
    Membership, Slug, StoreErrorKind, SystemRole, Tenancy, TenantRecord, TenantStatus, UserId,
    danger, http::Error,
};

use crate::forms::NewOrganization;

/// Makes an organization with its owner. What is wrong with the form is a text for the page.
pub async fn create(
    tenancy: &Tenancy,
    owner: UserId,
    form: &NewOrganization,
) -> Result<Result<(), &'static str>, Error> {
    let Ok(slug) = form.slug.trim().parse::<Slug>() else {
        return Ok(Err(
            "An address has lowercase letters, digits and hyphens, such as `acme`.",
        ));
    };
    if form.name.trim().is_empty() {
        return Ok(Err("Please give the organization a name."));
    }
    let tenant = TenantRecord::new(slug, form.name.trim()).with_status(TenantStatus::Active);
    let admin = tenancy.admin(danger::service("signed up")?);
    match admin.create_tenant(&tenant).await {
        Err(error) if error.kind() == StoreErrorKind::Conflict => {
            return Ok(Err("This address is taken."));
        }
        made => made?,
    }
    let owner = Membership::new(tenant.id, owner, SystemRole::Owner.name());
    admin.put_membership(&owner).await?;
    Ok(Ok(()))
}

//! Organizations: the tenants, which their members make themselves.

use tenancy::{Provisioning, Slug, StoreErrorKind, Tenancy, UserId, danger, http::Error};

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
    // Tenant and owner are one: who closes the page in between leaves no organization without anybody.
    let organization = Provisioning::new(slug, form.name.trim(), owner);
    let admin = tenancy.admin(danger::service("signed up")?);
    match admin.provision(&organization).await {
        Err(error) if error.kind() == StoreErrorKind::Conflict => Ok(Err("This address is taken.")),
        made => {
            made?;
            Ok(Ok(()))
        }
    }
}

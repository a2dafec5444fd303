//! The members of an organization, with the names that their accounts have.

use tenancy::{MemberFilter, TenantContext, http::Error};

use crate::accounts::Accounts;

#[derive(Debug)]
pub struct Member {
    pub name: String,
    pub role: String,
}

/// The first hundred.
pub async fn list(accounts: &Accounts, context: &TenantContext) -> Result<Vec<Member>, Error> {
    let authority = context.authority("members:read")?;
    let admin = context.tenancy().admin(authority);
    let filter = MemberFilter::default();
    let members = admin
        .list_members(context.tenant_id(), &filter, None, 100)
        .await?;
    // Ids that this tenant's own membership has said, so that nobody else's names are read.
    let ids: Vec<_> = members.iter().map(|member| member.user.as_uuid()).collect();
    let names = accounts.names(&ids).await?;
    let name = |id| {
        names
            .iter()
            .find(|(one, _)| *one == id)
            .map(|(_, name)| name.clone())
    };
    let mut members: Vec<_> = members
        .iter()
        .map(|member| Member {
            name: name(member.user.as_uuid()).unwrap_or_else(|| "(unknown)".to_owned()),
            role: member.role.to_string(),
        })
        .collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

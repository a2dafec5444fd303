//! Invitations: whoever reads the mails of an address joins by a link, once.

use std::net::IpAddr;

use tenancy::{
    EmailAddress, InvitationId, InvitationPreview, RoleName, StoreErrorKind, TenantContext,
    http::Error,
    invitation::{InvitationFilter, InvitationState, NewInvitation},
};

use crate::{
    HOME,
    accounts::{Account, Accounts},
    forms,
};

/// What members who invite hold.
const PERMISSION: &str = "members:invite";

/// An invitation that can be accepted.
#[derive(Debug)]
pub struct Pending {
    pub id: InvitationId,
    pub email: EmailAddress,
    pub role: RoleName,
}

/// Whether the caller may invite somebody.
pub fn may_invite(context: &TenantContext) -> bool {
    let id = context.tenancy().permissions().id(PERMISSION);
    id.is_some_and(|id| context.allows(id))
}

/// Invites an address. What is wrong with the form is a text for the page.
pub async fn invite(
    context: &TenantContext,
    form: &forms::NewInvitation,
) -> Result<Result<(), &'static str>, Error> {
    let Some(email) = forms::address(&form.email) else {
        return Ok(Err(forms::NO_ADDRESS));
    };
    let Ok(role) = form.role.parse() else {
        return Ok(Err("There is no such role."));
    };
    let invitation = NewInvitation::new(context.tenant_id(), email, role);
    match of(context)?.invite(&invitation).await {
        Err(error) if error.kind() == StoreErrorKind::Conflict => Ok(Err(
            "This address has an invitation already. Send that one again.",
        )),
        made => {
            made?;
            Ok(Ok(()))
        }
    }
}

/// The first hundred, for those who may invite: the addresses are nobody else's business.
pub async fn pending(context: &TenantContext) -> Result<Vec<Pending>, Error> {
    if !may_invite(context) {
        return Ok(Vec::new());
    }
    let now = context.tenancy().clock().now();
    let open = InvitationFilter::new().state(InvitationState::Pending, now);
    let found = of(context)?
        .list(context.tenant_id(), &open, None, 100)
        .await?;
    let found = found.into_iter().map(|one| Pending {
        id: one.id,
        email: one.email,
        role: one.role,
    });
    Ok(found.collect())
}

/// Has another link mailed. The one before is wrong from then on.
pub async fn resend(context: &TenantContext, id: InvitationId) -> Result<(), Error> {
    of(context)?.resend(context.tenant_id(), id).await?;
    Ok(())
}

/// Takes it back.
pub async fn revoke(context: &TenantContext, id: InvitationId) -> Result<(), Error> {
    of(context)?.revoke(context.tenant_id(), id).await?;
    Ok(())
}

/// What the page behind a link shows. Status 404 if the link leads to nothing that can be accepted.
///
/// The address is the peer's: a program behind a proxy that it trusts takes the one that the proxy says.
pub async fn preview(
    accounts: &Accounts,
    token: &str,
    from: Option<IpAddr>,
) -> Result<InvitationPreview, Error> {
    Ok(accounts.tenancy().peek_invitation(token, from).await?)
}

/// Makes a member of whoever is signed in, and says where to go on. What is in the way is a text for the page.
pub async fn accept(
    accounts: &Accounts,
    token: &str,
    account: &Account,
) -> Result<Result<String, &'static str>, Error> {
    // What somebody has merely typed is no proof of an address.
    let Some(email) = account.verified_email() else {
        return Ok(Err(
            "Confirm your address first, and come back to this page.",
        ));
    };
    let (engine, user) = (accounts.tenancy(), account.user());
    let joined = match engine.accept_invitation(token, user, &email).await {
        Err(refusal) if refusal.reason() == "invitation-already-member" => {
            return Ok(Err("You are a member already."));
        }
        joined => joined?,
    };
    let theirs = accounts.organizations(user).await?;
    let joined = theirs.iter().find(|one| one.id == joined.tenant);
    Ok(Ok(joined.map_or_else(
        || HOME.to_owned(),
        |one| format!("/o/{}/notes", one.slug),
    )))
}

/// On the caller's authority: the engine looks at what the caller may give.
fn of(context: &TenantContext) -> Result<tenancy::Invitations, Error> {
    let authority = context.authority(PERMISSION)?;
    Ok(context.tenancy().invitations(authority))
}

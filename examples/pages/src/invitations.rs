//! Invitations: a link by which somebody joins, once.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use tenancy::{
    Membership, Refusal, RefusalKind, RoleName, UserId, danger, http::Error, postgres::TenantDb,
};

/// Makes an invitation, and returns the token of its link, which is not stored.
///
/// The caller's permission has been checked by the route. No link gives more than `member`.
pub async fn create(db: &TenantDb, role: &str) -> Result<String, Error> {
    if !matches!(role, "viewer" | "member") {
        return Err(Refusal::new(RefusalKind::Invalid, "role-not-by-link").into());
    }
    let mut token = [0; 32];
    getrandom::fill(&mut token).map_err(|error| Error::internal(error.to_string()))?;
    let token = BASE64_URL_SAFE_NO_PAD.encode(token);
    let by = db.context().user_id().map(|user| user.as_uuid());
    sqlx::query("INSERT INTO invitations (token_hash, role, invited_by) VALUES ($1, $2, $3)")
        .bind(hash(&token))
        .bind(role.to_owned())
        .bind(by)
        .execute(db)
        .await?;
    Ok(token)
}

/// The role that the link gives in this tenant. Status 404 if it gives none any more, or is another tenant's.
pub async fn role(db: &TenantDb, token: &str) -> Result<String, Error> {
    let select = "SELECT role FROM invitations \
                  WHERE token_hash = $1 AND accepted_at IS NULL AND expires_at > now()";
    let select = sqlx::query_scalar(select).bind(hash(token));
    let role = select.fetch_optional(&db.reader()).await?;
    role.ok_or_else(over)
}

/// Makes the user a member. Of two who take the same link at once, one joins.
pub async fn accept(db: &TenantDb, token: &str, user: UserId) -> Result<(), Error> {
    let context = db.context();
    let mut tx = db.begin().await?;
    let update = "UPDATE invitations SET accepted_by = $1, accepted_at = now() \
                  WHERE token_hash = $2 AND accepted_at IS NULL AND expires_at > now() RETURNING role";
    let update = sqlx::query_scalar(update)
        .bind(user.as_uuid())
        .bind(hash(token));
    let role: Option<String> = update.fetch_optional(&mut *tx).await?;
    let role: RoleName = role.ok_or_else(over)?.parse().map_err(Error::internal)?;
    // By the registry login, and so in a transaction of its own. If this process ends before the commit below, the
    // link still works, and the membership is the same one.
    let authority = danger::service("accepted an invitation")?;
    let membership = Membership::new(context.tenant_id(), user, role);
    context
        .tenancy()
        .admin(authority)
        .put_membership(&membership)
        .await?;
    tx.commit().await?;
    Ok(())
}

fn over() -> Error {
    Refusal::new(RefusalKind::NotFound, "no-such-invitation").into()
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

//! Rows of invitations, read and written.

use sqlx::{postgres::PgRow, types::Uuid};
use tenancy_core::{
    DirectoryError, InvitationId, KeyId, OperatorId, ServiceId, StoreError, StoreErrorKind,
    TenantId, Timestamp, UserId,
    invitation::{Invitation, InvitationState, Inviter},
    one_time::OneTimeDigest,
};

use crate::directory::rows::{column, role, text};

/// The columns that [`invitation`] reads.
pub(super) const INVITATION: &str = "i.tenant_id, i.id, i.email, i.role, i.projects, i.inviter, i.permission, \
    i.inviter_key, i.inviter_account, i.inviter_operator, i.state, i.rotation, i.digest, i.digest_version, i.accepted_by, \
    (extract(epoch FROM i.created_at) * 1000000)::bigint AS created_at, \
    (extract(epoch FROM i.sent_at) * 1000000)::bigint AS sent_at, \
    (extract(epoch FROM i.expires_at) * 1000000)::bigint AS expires_at";

/// Reads an invitation. A row that this version can't read is an error, never "not found".
pub(super) fn invitation(row: &PgRow) -> Result<Invitation, DirectoryError> {
    let moment = |name| Ok::<_, DirectoryError>(Timestamp::from_unix_micros(column(row, name)?));
    let key: Option<Uuid> = column(row, "inviter_key")?;
    let account: Option<Uuid> = column(row, "inviter_account")?;
    // A program that knows of none leaves it where somebody else answers from then on.
    let operator: Option<Uuid> = column(row, "inviter_operator")?;
    let inviter = match (column(row, "inviter")?, column(row, "permission")?, key) {
        (Some::<Uuid>(user), Some::<String>(permission), None) => Inviter::Member {
            user: UserId::from_uuid(user),
            permission,
        },
        (Some(user), Some(permission), Some(key)) => Inviter::Key {
            key: KeyId::from_uuid(key),
            user: UserId::from_uuid(user),
            permission,
        },
        (None, None, None) => match (account, operator) {
            (Some(account), _) => Inviter::Account(ServiceId::from_uuid(account)),
            (None, Some(operator)) => Inviter::Operator(OperatorId::from_uuid(operator)),
            (None, None) => Inviter::Service,
        },
        _ => return Err(DirectoryError::new("an invitation has half an inviter")),
    };
    let state = text(row, "state")?;
    let digest: Vec<u8> = column(row, "digest")?;
    let digest = digest
        .try_into()
        .map_err(|_| DirectoryError::new("a digest is not of 32 bytes"))?;
    let version = u32::try_from(column::<i64>(row, "digest_version")?);
    let version = version.map_err(DirectoryError::new)?;
    let mut read = Invitation::new(
        InvitationId::from_uuid(column(row, "id")?),
        TenantId::from_uuid(column(row, "tenant_id")?),
        text(row, "email")?.parse().map_err(DirectoryError::new)?,
        role(row)?,
        inviter,
        OneTimeDigest::new(version, digest),
        moment("created_at")?,
        moment("expires_at")?,
    );
    let projects: serde_json::Value = column(row, "projects")?;
    read.projects = serde_json::from_value(projects).map_err(DirectoryError::new)?;
    read.state = InvitationState::from_stored(&state).ok_or_else(|| {
        DirectoryError::new(format!("`{state}` is not the state of an invitation"))
    })?;
    read.sent_at = moment("sent_at")?;
    let rotation = u32::try_from(column::<i64>(row, "rotation")?);
    read.rotation = rotation.map_err(DirectoryError::new)?;
    read.accepted_by = column::<Option<Uuid>>(row, "accepted_by")?.map(UserId::from_uuid);
    Ok(read)
}

/// The roles in projects, as they are stored.
pub(super) fn projects(of: &Invitation) -> serde_json::Value {
    let each = of
        .projects
        .iter()
        .map(|one| serde_json::json!({ "project": one.project, "role": one.role }));
    each.collect()
}

/// Who answers for it, as it is stored.
#[derive(Clone, Copy, Default)]
pub(super) struct By<'a> {
    pub(super) user: Option<Uuid>,
    pub(super) permission: Option<&'a str>,
    pub(super) key: Option<Uuid>,
    pub(super) account: Option<Uuid>,
    pub(super) operator: Option<Uuid>,
}

/// Who answers for an invitation. Somebody of whom this version knows nothing can't be stored as nobody.
pub(super) fn inviter(of: &Invitation) -> Result<By<'_>, StoreError> {
    match &of.inviter {
        Inviter::Member { user, permission } => Ok(By {
            user: Some(user.as_uuid()),
            permission: Some(permission),
            ..By::default()
        }),
        Inviter::Key {
            key,
            user,
            permission,
        } => Ok(By {
            user: Some(user.as_uuid()),
            permission: Some(permission),
            key: Some(key.as_uuid()),
            ..By::default()
        }),
        Inviter::Account(account) => Ok(By {
            account: Some(account.as_uuid()),
            ..By::default()
        }),
        Inviter::Operator(operator) => Ok(By {
            operator: Some(operator.as_uuid()),
            ..By::default()
        }),
        Inviter::Service => Ok(By::default()),
        _ => {
            let message =
                "the inviter is of a kind that this version can't store; update `tenancy-sqlx`";
            Err(StoreError::new(StoreErrorKind::Invalid, message))
        }
    }
}

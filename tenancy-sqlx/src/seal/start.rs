//! Whether a pool and its database agree on sealing, found out at start.

use sqlx::{Executor as _, Row as _};
use tenancy_core::TenantId;
use uuid::Uuid;

use super::{Keeping, Seal, SealKey};
use crate::{
    StartError, StartErrorKind,
    connections::Connections,
    options::{Timeouts, TxOptions},
    schema::SealWay,
    self_check,
    session::{self, Scope},
};

/// Has a pool name tenants as its database wants it, and tries it out.
///
/// # Errors
/// A [`StartError`] that says what to do, where the two do not go together.
pub(crate) async fn take_up(pool: &Connections, key: Option<&SealKey>) -> Result<(), StartError> {
    let keeping = keeping(pool).await?;
    let (key, keeping) = match (key, keeping) {
        (None, None) => return Ok(()),
        (None, Some(_)) => {
            return Err(refused(
                "the sessions of this database are sealed, and without a key no tenant's rows are \
                 seen; give this pool the `SealKey` with which `schema::seal_sessions` was called",
            ));
        }
        (Some(_), None) => {
            return Err(refused(
                "a seal key was given, and the sessions of this database are not sealed; seal them \
                 with `schema::seal_sessions`, or leave the key out",
            ));
        }
        (Some(key), Some(keeping)) => (key.clone(), keeping),
    };
    if pool.through().is_pooler() {
        return Err(StartError::pooler(
            "sessions are sealed one by one, and a pooler shares them; give this pool the database's own \
             address",
            None,
        ));
    }
    pool.seal(Seal { key, keeping });
    let nobody = Scope {
        tenant: TenantId::from_uuid(Uuid::nil()),
        project: None,
    };
    let options = TxOptions::new().read_only();
    let trial = nobody.begin_batch(None, &options, &Timeouts::LOOK_UP);
    match session::begin(pool, trial).await {
        Ok(open) => {
            open.give_back();
            Ok(())
        }
        Err(error) => {
            let source = sqlx::Error::from(error);
            Err(match source.as_database_error() {
                Some(said) if said.code().as_deref() == Some("42501") => refused(&format!(
                    "the database does not take this seal key: {}; add it with \
                     `schema::add_seal_key`, or give this pool the one that is in use",
                    said.message()
                )),
                _ => StartError::unreachable(source),
            })
        }
    }
}

/// Where the sessions of the database keep whom they name, if they are sealed.
async fn keeping(pool: &Connections) -> Result<Option<Keeping>, StartError> {
    let mut asking = self_check::begin(pool).await?;
    let row = asking
        .fetch_one("SELECT tenancy.sealing() AS way, pg_catalog.pg_is_in_recovery() AS standby")
        .await
        .map_err(StartError::unreachable)?;
    let read = || Ok((row.try_get("way")?, row.try_get("standby")?));
    let (way, standby): (Option<String>, bool) = read().map_err(StartError::unreachable)?;
    asking.give_back();
    let Some(name) = way else { return Ok(None) };
    match SealWay::named(&name) {
        Some(SealWay::Parameter) => Ok(Some(Keeping::Parameter)),
        Some(SealWay::Row) if standby => Ok(Some(Keeping::Setting)),
        Some(SealWay::Row) => Ok(Some(Keeping::Row)),
        None => Err(refused(&format!(
            "the sessions of this database are sealed by `{name}`, which this release does not know"
        ))),
    }
}

fn refused(message: &str) -> StartError {
    StartError::new(StartErrorKind::Seal, message.to_owned())
}

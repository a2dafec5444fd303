//! Whether a pool and its database agree on sealing: found out at start, and again while the service runs.

use sqlx::{Executor as _, Row as _};
use tenancy_core::TenantId;
use uuid::Uuid;

use super::{Keeping, Seal, SealKey};
use crate::{
    Error, StartError, StartErrorKind,
    connections::{Connections, Whose},
    error::{FORGED, KEY_NOT_IN_USE, said},
    options::{Timeouts, TxOptions},
    schema::SealWay,
    session::{self, Scope},
};

/// Has a pool name tenants as its database wants it, and tries it out.
///
/// # Errors
/// A [`StartError`] that says what to do, where the two do not go together.
pub(crate) async fn take_up(pool: &Connections, key: Option<&SealKey>) -> Result<(), StartError> {
    let found = found(pool).await.map_err(unreachable)?;
    let (key, way, standby) = match (key, found) {
        (None, None) => return Ok(()),
        (None, Some(_)) => {
            return Err(refused(&format!(
                "the sessions of this database are sealed, and without a key no tenant's rows are seen; \
                 {} with the `SealKey` with which `schema::seal_sessions` was called",
                with_key(pool.whose())
            )));
        }
        (Some(_), None) => {
            return Err(refused(
                "a seal key was given, and the sessions of this database are not sealed; seal them \
                 with `schema::seal_sessions`, or leave the key out",
            ));
        }
        (Some(key), Some((way, standby))) => (key.clone(), way, standby),
    };
    let keeping = match SealWay::named(&way) {
        Some(SealWay::Parameter) => Keeping::Parameter,
        Some(SealWay::Row) if standby => Keeping::Setting,
        Some(SealWay::Row) => Keeping::Row,
        None => {
            return Err(refused(&format!(
                "the sessions of this database are sealed by `{way}`, which this release does not know"
            )));
        }
    };
    if pool.through().is_pooler() {
        return Err(StartError::pooler(
            "sessions are sealed one by one, and a pooler shares them; give this pool the database's own \
             address",
            None,
        ));
    }
    pool.seal(Seal { key, keeping });
    match tried(pool).await.map_err(unreachable)? {
        None => Ok(()),
        Some(fault) => Err(refused(&fault)),
    }
}

/// What keeps a pool that was started from naming tenants as its database wants it now, and how to mend
/// it.
///
/// # Errors
/// What the database says.
pub(crate) async fn fault(pool: &Connections) -> Result<Option<String>, Error> {
    let fault = match (pool.is_sealed(), found(pool).await?) {
        (false, None) => return Ok(None),
        (true, Some(_)) => return tried(pool).await,
        (false, Some(_)) => format!(
            "the sessions of this database were sealed since this pool was started without a key, and it \
             sees no tenant's rows; start the service anew, and {} with the `SealKey` with which \
             `schema::seal_sessions` was called",
            with_key(pool.whose())
        ),
        (true, None) => "the sessions of this database are not sealed any more, and any SQL may name \
             another tenant; seal them with `schema::seal_sessions`, or start the service without its key"
            .to_owned(),
    };
    Ok(Some(fault))
}

/// Names nobody with the key of a pool; says why the database does not take that, and how to mend it.
async fn tried(pool: &Connections) -> Result<Option<String>, Error> {
    let nobody = Scope {
        tenant: TenantId::from_uuid(Uuid::nil()),
        project: None,
    };
    let options = TxOptions::new().read_only();
    let trial = nobody.begin_batch(None, &options, &Timeouts::LOOK_UP);
    let error = match session::begin(pool, trial).await {
        Ok(open) => {
            open.give_back();
            return Ok(None);
        }
        Err(error) => error,
    };
    let said = error.driver_error().and_then(said);
    let Some(said) = said.filter(|said| said.code() == "42501") else {
        return Err(error);
    };
    let id = pool.key_id().unwrap_or_default();
    Ok(Some(match said.message() {
        message @ FORGED => format!(
            "the database does not take the seal key {id}: {message}, for the key of that number has \
             other bytes there; give the service the bytes with which key {id} was added, or add these \
             with `schema::add_seal_key` under another number"
        ),
        message @ KEY_NOT_IN_USE => format!(
            "the database does not take the seal key {id}: {message}, for it was retired or never added; \
             give the service the key that is in use, or add this one with `schema::add_seal_key` under a \
             number that was not used before"
        ),
        message => format!("the database does not take the seal key {id}: {message}"),
    }))
}

/// How this kind of pool is given a key.
const fn with_key(whose: Whose) -> &'static str {
    match whose {
        Whose::Directory => "connect the directory by `PgDirectory::connect_sealed`",
        Whose::Registry => "connect the registry login by `RegistryPool::connect_sealed`",
        Whose::Tenants | Whose::Replica | Whose::Audit | Whose::Operators => {
            "connect this pool by `TenantPoolOptions::seal_key`"
        }
    }
}

/// In which way the sessions of the database are sealed, if they are, and whether it is a standby.
async fn found(pool: &Connections) -> Result<Option<(String, bool)>, Error> {
    let mut asking = session::begin(pool, session::limited_batch(&Timeouts::LOOK_UP)).await?;
    let row = asking
        .fetch_one("SELECT tenancy.sealing() AS way, pg_catalog.pg_is_in_recovery() AS standby")
        .await?;
    let (way, standby): (Option<String>, bool) = (row.try_get("way")?, row.try_get("standby")?);
    asking.give_back();
    Ok(way.map(|way| (way, standby)))
}

fn unreachable(error: Error) -> StartError {
    StartError::unreachable(error.into())
}

fn refused(message: &str) -> StartError {
    StartError::new(StartErrorKind::Seal, message.to_owned())
}

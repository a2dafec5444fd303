//! Sessions of tower-sessions, in a table that the accounts' pool reaches: by the sqlx that the service has anyway.

use std::fmt;

use axum_login::tower_sessions::{
    Expiry, SessionManagerLayer, SessionStore,
    cookie::{
        SameSite,
        time::{Duration, OffsetDateTime},
    },
    session::{Id, Record},
    session_store::{Error, Result},
};
use sha2::{Digest as _, Sha256};
use sqlx::{PgPool, types::Json};

/// How long somebody stays signed in who does not come back.
const KEPT: Duration = Duration::days(14);

/// The sessions' layer. No other host can set a cookie of this name, nor read this one.
pub(crate) fn layer(pool: PgPool) -> SessionManagerLayer<Sessions> {
    SessionManagerLayer::new(Sessions(pool))
        .with_name("__Host-session")
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(KEPT))
}

#[derive(Clone)]
pub(crate) struct Sessions(PgPool);

/// What stands in the table instead of the id.
fn hash(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

fn failed(error: sqlx::Error) -> Error {
    Error::Backend(error.to_string())
}

#[tenancy::async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // Whoever signs in removes what has ended.
        sqlx::query("DELETE FROM sessions WHERE expires_at < now()")
            .execute(&self.0)
            .await
            .map_err(failed)?;
        // An id has 128 random bits: one that is there already is no accident.
        let insert =
            "INSERT INTO sessions (id, data, expires_at) VALUES ($1, $2, to_timestamp($3))";
        self.write(insert, record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let update = "INSERT INTO sessions (id, data, expires_at) VALUES ($1, $2, to_timestamp($3)) \
                      ON CONFLICT (id) DO UPDATE SET data = $2, expires_at = to_timestamp($3)";
        self.write(update, record).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let select = "SELECT data, extract(epoch FROM expires_at)::bigint FROM sessions \
                      WHERE id = $1 AND expires_at > now()";
        let select = sqlx::query_as(select).bind(hash(id));
        let row: Option<(Json<_>, i64)> = select.fetch_optional(&self.0).await.map_err(failed)?;
        let Some((Json(data), expires_at)) = row else {
            return Ok(None);
        };
        let expiry_date = OffsetDateTime::from_unix_timestamp(expires_at)
            .map_err(|error| Error::Decode(error.to_string()))?;
        Ok(Some(Record {
            id: *id,
            data,
            expiry_date,
        }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let delete = sqlx::query("DELETE FROM sessions WHERE id = $1").bind(hash(id));
        delete.execute(&self.0).await.map(drop).map_err(failed)
    }
}

impl Sessions {
    async fn write(&self, statement: &'static str, record: &Record) -> Result<()> {
        let write = sqlx::query(statement)
            .bind(hash(&record.id))
            .bind(Json(&record.data))
            .bind(record.expiry_date.unix_timestamp() as f64);
        write.execute(&self.0).await.map(drop).map_err(failed)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

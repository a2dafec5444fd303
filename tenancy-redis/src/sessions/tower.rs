//! The store of `tower-sessions`.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tower_sessions::{
    SessionStore,
    cookie::time::OffsetDateTime,
    session::{Id, Record},
    session_store::{Error, Result},
};

use super::{RedisSessions, is_over};
use crate::{RedisError, Stored};

/// How often another id is tried where one is taken.
const TRIES: usize = 3;

#[derive(Serialize, Deserialize)]
struct Kept {
    data: HashMap<String, serde_json::Value>,
    /// In seconds since 1970.
    ends: i64,
}

fn backend(error: RedisError) -> Error {
    Error::Backend(error.to_string())
}

/// What is kept of a session, and for how long.
fn kept(record: &Record) -> Result<(Stored, Duration)> {
    let left = (record.expiry_date - OffsetDateTime::now_utc()).whole_milliseconds();
    let kept = Kept {
        data: record.data.clone(),
        ends: record.expiry_date.unix_timestamp(),
    };
    let value = Stored::json_of(&kept).map_err(|error| Error::Encode(error.to_string()))?;
    Ok((
        value,
        Duration::from_millis(u64::try_from(left).unwrap_or(0)),
    ))
}

#[async_trait]
impl SessionStore for RedisSessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let (value, time) = kept(record)?;
        for _ in 0..TRIES {
            let id = record.id.to_string();
            if self.add(&id, value.as_ref(), time).await.map_err(backend)? {
                return Ok(());
            }
            record.id = Id::default();
        }
        Err(Error::Backend("no id was free".to_owned()))
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let (value, time) = kept(record)?;
        let id = record.id.to_string();
        match self.replace(&id, value.as_ref(), time).await {
            Err(error) if is_over(&error) => self.remove(&id).await.map_err(backend),
            replaced => replaced.map(drop).map_err(backend),
        }
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(value) = self.find(&id.to_string()).await.map_err(backend)? else {
            return Ok(None);
        };
        let undecodable = |error: RedisError| Error::Decode(error.to_string());
        let kept: Kept = value.json().map_err(undecodable)?;
        let ends = OffsetDateTime::from_unix_timestamp(kept.ends);
        let expiry_date = ends.map_err(|_| Error::Decode("it has no end".to_owned()))?;
        Ok(Some(Record {
            id: *id,
            data: kept.data,
            expiry_date,
        }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.remove(&id.to_string()).await.map_err(backend)
    }
}

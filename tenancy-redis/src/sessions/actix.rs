//! The store of `actix-session`.

use std::{collections::HashMap, time::Duration};

use actix_session::storage::{
    LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key,
};
use actix_web::cookie::time;
use anyhow::Error;

use super::{RedisSessions, is_over};
use crate::Stored;

/// A time that is less than nothing is nothing.
fn positive(time: &time::Duration) -> Duration {
    Duration::try_from(*time).unwrap_or_default()
}

impl SessionStore for RedisSessions {
    async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
        let found = self.find(key.as_ref()).await;
        match found.map_err(|error| LoadError::Other(error.into()))? {
            Some(value) => {
                let state = value.json();
                state
                    .map(Some)
                    .map_err(|error| LoadError::Deserialization(error.into()))
            }
            None => Ok(None),
        }
    }

    async fn save(
        &self,
        state: HashMap<String, String>,
        ttl: &time::Duration,
    ) -> Result<SessionKey, SaveError> {
        let value = Stored::json_of(&state);
        let value = value.map_err(|error| SaveError::Serialization(error.into()))?;
        let key = generate_session_key();
        let added = self.add(key.as_ref(), value.as_ref(), positive(ttl)).await;
        match added.map_err(|error| SaveError::Other(error.into()))? {
            true => Ok(key),
            false => Err(SaveError::Other(Error::msg("the id is taken"))),
        }
    }

    async fn update(
        &self,
        key: SessionKey,
        state: HashMap<String, String>,
        ttl: &time::Duration,
    ) -> Result<SessionKey, UpdateError> {
        let value = Stored::json_of(&state);
        let value = value.map_err(|error| UpdateError::Serialization(error.into()))?;
        let replaced = self
            .replace(key.as_ref(), value.as_ref(), positive(ttl))
            .await;
        match replaced {
            Err(error) if is_over(&error) => self.remove(key.as_ref()).await,
            // One that is gone stays gone: the cookie then opens nothing.
            replaced => replaced.map(drop),
        }
        .map_err(|error| UpdateError::Other(error.into()))?;
        Ok(key)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &time::Duration) -> Result<(), Error> {
        match self.prolong(key.as_ref(), positive(ttl)).await {
            Err(error) if is_over(&error) => Ok(self.remove(key.as_ref()).await?),
            prolonged => Ok(prolonged?),
        }
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), Error> {
        Ok(self.remove(key.as_ref()).await?)
    }
}

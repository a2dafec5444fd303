//! `TenantHash`: values by field.

use super::{Stored, collection, reply};
use crate::RedisError;

collection! {
    /// A hash of a tenant's: values by field. Its name is removed, and given an expiry, by [`TenantData`](crate::TenantData).
    ///
    /// ```no_run
    /// # async fn example(data: &tenancy_redis::TenantData) -> Result<(), tenancy_redis::RedisError> {
    /// let cart = data.hash("cart:42");
    /// cart.set("apple", "3").await?;
    /// let apples = cart.add("apple", 1).await?;
    /// assert_eq!(apples, 4);
    /// # Ok(())
    /// # }
    /// ```
    TenantHash
}

impl TenantHash {
    /// The value of a field. `HGET`.
    ///
    /// # Errors
    /// As [`TenantData::get`](crate::TenantData::get), as for all calls.
    pub async fn get(&self, field: impl AsRef<[u8]>) -> Result<Option<Stored>, RedisError> {
        let call = self.read("HGET").word(field);
        reply::optional(call.ask(&self.data).await?)
    }

    /// All fields with their values: for a hash whose size is bounded. `HGETALL`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn all(&self) -> Result<Vec<(Stored, Stored)>, RedisError> {
        reply::pairs(self.read("HGETALL").ask(&self.data).await?)
    }

    /// Gives a field a value. `HSET`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn set(
        &self,
        field: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), RedisError> {
        let call = self.again("HSET").word(field).word(value);
        call.ask(&self.data).await.map(drop)
    }

    /// Gives fields their values, all at once. `HSET`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn set_many<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        fields: &[(F, V)],
    ) -> Result<(), RedisError> {
        let call = self.again("HSET").pairs(fields);
        call.ask(&self.data).await.map(drop)
    }

    /// Adds to the whole number of a field, and returns the sum. `HINCRBY`.
    ///
    /// # Errors
    /// As [`TenantData::add`](crate::TenantData::add).
    pub async fn add(&self, field: impl AsRef<[u8]>, by: i64) -> Result<i64, RedisError> {
        let call = self.once("HINCRBY").word(field).number(by);
        reply::int(call.ask(&self.data).await?)
    }

    /// Removes fields, and returns how many there were. `HDEL`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn remove<F: AsRef<[u8]>>(&self, fields: &[F]) -> Result<u64, RedisError> {
        let call = self.once("HDEL").words(fields);
        reply::count(call.ask(&self.data).await?)
    }

    /// How many fields there are. `HLEN`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn count(&self) -> Result<u64, RedisError> {
        reply::count(self.read("HLEN").ask(&self.data).await?)
    }
}

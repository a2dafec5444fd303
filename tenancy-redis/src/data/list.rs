//! `TenantList`: values in an order.

use super::{Stored, collection, reply};
use crate::RedisError;

collection! {
    /// A list of a tenant's: values in an order. Places count from 0; from the end, −1 is the last.
    ///
    /// ```no_run
    /// # async fn example(data: &tenancy_redis::TenantData) -> Result<(), tenancy_redis::RedisError> {
    /// let recent = data.list("recent");
    /// recent.push_front(&["invoice 7"]).await?;
    /// recent.trim(0, 99).await?;
    /// # Ok(())
    /// # }
    /// ```
    TenantList
}

impl TenantList {
    /// Puts values at the front, one after the other, and returns how many there are then. `LPUSH`.
    ///
    /// # Errors
    /// As [`TenantData::get`](crate::TenantData::get), as for all calls.
    pub async fn push_front<V: AsRef<[u8]>>(&self, values: &[V]) -> Result<u64, RedisError> {
        let call = self.once("LPUSH").words(values);
        reply::count(call.ask(&self.data).await?)
    }

    /// Puts values at the end, one after the other, and returns how many there are then. `RPUSH`.
    ///
    /// # Errors
    /// As [`push_front`](Self::push_front).
    pub async fn push_back<V: AsRef<[u8]>>(&self, values: &[V]) -> Result<u64, RedisError> {
        let call = self.once("RPUSH").words(values);
        reply::count(call.ask(&self.data).await?)
    }

    /// Takes the first value. It does not wait for one. `LPOP`.
    ///
    /// # Errors
    /// As [`push_front`](Self::push_front). A value whose answer is lost is lost: a stream's group is for work that must
    /// not be.
    pub async fn pop_front(&self) -> Result<Option<Stored>, RedisError> {
        reply::optional(self.once("LPOP").ask(&self.data).await?)
    }

    /// Takes the last value. It does not wait for one. `RPOP`.
    ///
    /// # Errors
    /// As [`pop_front`](Self::pop_front).
    pub async fn pop_back(&self) -> Result<Option<Stored>, RedisError> {
        reply::optional(self.once("RPOP").ask(&self.data).await?)
    }

    /// The values from one place to another, which is among them. `LRANGE`.
    ///
    /// # Errors
    /// As [`push_front`](Self::push_front).
    pub async fn range(&self, from: i64, to: i64) -> Result<Vec<Stored>, RedisError> {
        let call = self.read("LRANGE").number(from).number(to);
        reply::all(call.ask(&self.data).await?)
    }

    /// Keeps the values from one place to another, and no others. `LTRIM`.
    ///
    /// # Errors
    /// As [`push_front`](Self::push_front).
    pub async fn trim(&self, from: i64, to: i64) -> Result<(), RedisError> {
        let call = self.once("LTRIM").number(from).number(to);
        reply::done(call.ask(&self.data).await?)
    }

    /// How many values there are. `LLEN`.
    ///
    /// # Errors
    /// As [`push_front`](Self::push_front).
    pub async fn count(&self) -> Result<u64, RedisError> {
        reply::count(self.read("LLEN").ask(&self.data).await?)
    }
}

//! `TenantSet`: members, each once.

use super::{Stored, collection, reply};
use crate::RedisError;

collection! {
    /// A set of a tenant's: members, each once.
    ///
    /// ```no_run
    /// # async fn example(data: &tenancy_redis::TenantData) -> Result<(), tenancy_redis::RedisError> {
    /// let online = data.set_of("online");
    /// online.insert(&["alice", "bob"]).await?;
    /// assert!(online.contains("alice").await?);
    /// # Ok(())
    /// # }
    /// ```
    TenantSet
}

impl TenantSet {
    /// Adds members, and returns how many are new. `SADD`.
    ///
    /// # Errors
    /// As [`TenantData::get`](crate::TenantData::get), as for all calls.
    pub async fn insert<M: AsRef<[u8]>>(&self, members: &[M]) -> Result<u64, RedisError> {
        let call = self.once("SADD").words(members);
        reply::count(call.ask(&self.data).await?)
    }

    /// Removes members, and returns how many there were. `SREM`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn remove<M: AsRef<[u8]>>(&self, members: &[M]) -> Result<u64, RedisError> {
        let call = self.once("SREM").words(members);
        reply::count(call.ask(&self.data).await?)
    }

    /// Whether it has a member. `SISMEMBER`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn contains(&self, member: impl AsRef<[u8]>) -> Result<bool, RedisError> {
        let call = self.read("SISMEMBER").word(member);
        reply::did(call.ask(&self.data).await?)
    }

    /// All members, in no order: for a set whose size is bounded. `SMEMBERS`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn all(&self) -> Result<Vec<Stored>, RedisError> {
        reply::all(self.read("SMEMBERS").ask(&self.data).await?)
    }

    /// How many members there are. `SCARD`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn count(&self) -> Result<u64, RedisError> {
        reply::count(self.read("SCARD").ask(&self.data).await?)
    }
}

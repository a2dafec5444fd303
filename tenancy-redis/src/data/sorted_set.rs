//! `TenantSortedSet`: members by score.

use redis::Value;

use super::{Stored, collection, reply};
use crate::RedisError;

collection! {
    /// A sorted set of a tenant's: members by score, the lowest first. Places count from 0; from the end, −1 is the last.
    ///
    /// ```no_run
    /// # async fn example(data: &tenancy_redis::TenantData) -> Result<(), tenancy_redis::RedisError> {
    /// let scores = data.sorted_set("scores");
    /// scores.insert("alice", 5.0).await?;
    /// for (name, score) in scores.top(10).await? {
    ///     println!("{} {score}", name.text()?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    TenantSortedSet
}

impl TenantSortedSet {
    /// Gives a member a score. `ZADD`.
    ///
    /// # Errors
    /// As [`TenantData::get`](crate::TenantData::get), as for all calls; also for a score that is not a number.
    pub async fn insert(&self, member: impl AsRef<[u8]>, score: f64) -> Result<(), RedisError> {
        let call = self.again("ZADD").score(score).word(member);
        call.ask(&self.data).await.map(drop)
    }

    /// Adds to a member's score, and returns the sum. `ZINCRBY`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn add(&self, member: impl AsRef<[u8]>, by: f64) -> Result<f64, RedisError> {
        let call = self.once("ZINCRBY").score(by).word(member);
        let sum = reply::bytes(call.ask(&self.data).await?)?;
        reply::score(&sum.into())
    }

    /// Removes members, and returns how many there were. `ZREM`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn remove<M: AsRef<[u8]>>(&self, members: &[M]) -> Result<u64, RedisError> {
        let call = self.once("ZREM").words(members);
        reply::count(call.ask(&self.data).await?)
    }

    /// Removes the members whose score is between these, which are among them, and returns how many there were.
    /// `ZREMRANGEBYSCORE`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn remove_between(&self, least: f64, most: f64) -> Result<u64, RedisError> {
        let call = self.once("ZREMRANGEBYSCORE").score(least).score(most);
        reply::count(call.ask(&self.data).await?)
    }

    /// A member's score. `ZSCORE`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn score(&self, member: impl AsRef<[u8]>) -> Result<Option<f64>, RedisError> {
        let answer = self.read("ZSCORE").word(member).ask(&self.data).await?;
        let score = reply::optional(answer)?;
        score.as_ref().map(reply::score).transpose()
    }

    /// The members from one place to another, which is among them. `ZRANGE WITHSCORES`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn range(&self, from: i64, to: i64) -> Result<Vec<(Stored, f64)>, RedisError> {
        let call = self.read("ZRANGE").number(from).number(to);
        scored(call.word("WITHSCORES").ask(&self.data).await?)
    }

    /// The members with the highest scores, the highest first. `ZREVRANGE WITHSCORES`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn top(&self, count: u32) -> Result<Vec<(Stored, f64)>, RedisError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let call = self.read("ZREVRANGE").number(0).number(count - 1);
        scored(call.word("WITHSCORES").ask(&self.data).await?)
    }

    /// At most so many of the members whose score is between these, which are among them.
    /// `ZRANGEBYSCORE WITHSCORES LIMIT`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn between(
        &self,
        least: f64,
        most: f64,
        limit: u32,
    ) -> Result<Vec<(Stored, f64)>, RedisError> {
        let call = self.read("ZRANGEBYSCORE").score(least).score(most);
        let call = call
            .word("WITHSCORES")
            .word("LIMIT")
            .number(0)
            .number(limit);
        scored(call.ask(&self.data).await?)
    }

    /// How many members there are. `ZCARD`.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn count(&self) -> Result<u64, RedisError> {
        reply::count(self.read("ZCARD").ask(&self.data).await?)
    }
}

fn scored(answer: Value) -> Result<Vec<(Stored, f64)>, RedisError> {
    let pairs = reply::pairs(answer)?.into_iter();
    pairs
        .map(|(member, score)| Ok((member, reply::score(&score)?)))
        .collect()
}

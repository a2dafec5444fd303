//! `RedisLogin`: which commands a login needs, as an ACL.

/// A login of a Redis, by its purpose.
///
/// The commands of each are named one by one. A category such as `@write` has more in it than one expects: `FLUSHDB` is
/// a write.
///
/// ```
/// use tenancy_redis::RedisLogin;
///
/// let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// let acl = RedisLogin::Service.acl("app", digest);
/// assert!(acl.starts_with("ACL SETUSER app reset on #9f86"));
/// assert!(!acl.contains("+scan") && !acl.contains("+flush"));
/// ```
///
/// # Security
/// A login sees the keys of all tenants: which tenant's they are is decided in this library, by a context. What an ACL
/// adds: names that do not begin with `tn:{` are out of reach, and so is what asks for no name – `SCAN`, `KEYS`,
/// `RANDOMKEY`, `DBSIZE`, `FLUSHDB`, `CLIENT TRACKING`, `CONFIG`, `MONITOR` –, which patterns of keys do not bind.
/// Commands inside of scripts are bound as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there is no third purpose")]
pub enum RedisLogin {
    /// What serves tenants: [`TenantRedis`](crate::TenantRedis), and whatever else of this crate a service uses.
    Service,
    /// What looks through all names: [`OperatorRedis`](crate::OperatorRedis), and `danger`.
    Operators,
}

/// What both need; some of it in a cluster alone.
const BOTH: &[&str] = &[
    "ping",
    "auth",
    "hello",
    "select",
    "asking",
    "cluster|slots",
    "evalsha",
    "eval",
    "get",
    "time",
    "unlink",
];

/// What data, locks, channels and counters need.
const SERVICE: &[&str] = &[
    "set",
    "del",
    "getrange",
    "mget",
    "incrby",
    "decrby",
    "pexpire",
    "pttl",
    "exists",
    "hget",
    "hmget",
    "hgetall",
    "hset",
    "hincrby",
    "hdel",
    "hlen",
    "lpush",
    "rpush",
    "lpop",
    "rpop",
    "lrange",
    "ltrim",
    "llen",
    "sadd",
    "srem",
    "sismember",
    "smembers",
    "scard",
    "zadd",
    "zincrby",
    "zrem",
    "zremrangebyscore",
    "zscore",
    "zrange",
    "zrevrange",
    "zrangebyscore",
    "zcard",
    "zcount",
    "xadd",
    "xrange",
    "xlen",
    "xreadgroup",
    "xautoclaim",
    "xack",
    "xgroup|create",
    "publish",
    "subscribe",
    "unsubscribe",
];

/// What looking through names needs.
const OPERATORS: &[&str] = &["scan", "type"];

impl RedisLogin {
    /// The commands that it needs, in lower case, a subcommand behind a bar.
    #[must_use]
    pub fn commands(self) -> Vec<&'static str> {
        let own = match self {
            Self::Service => SERVICE,
            Self::Operators => OPERATORS,
        };
        [BOTH, own].concat()
    }

    /// The command that makes the user, for `redis-cli`. In an ACL file, write `user` in the place of `ACL SETUSER`: see
    /// [the guide](https://github.com/tenancy-rs/tenancy/blob/main/docs/redis.md#logins). The password is given as its
    /// SHA-256 in hexadecimal.
    #[must_use]
    pub fn acl(self, user: &str, password_sha256: &str) -> String {
        let channels = match self {
            Self::Service => "&tn:{*",
            Self::Operators => "resetchannels",
        };
        let commands = self.commands().join(" +");
        format!("ACL SETUSER {user} reset on #{password_sha256} ~tn:{{* {channels} +{commands}")
    }
}

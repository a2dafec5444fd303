//! `OperatorRedis`: looks through all names, for those who run a service.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock},
};

use redis::Value;
use serde::Serialize;
use tenancy_core::TenantId;

use crate::{
    RedisClient, RedisError, TenantData,
    data::{EPOCH, bytes, int, parts, text, values},
    layout,
    link::Link,
    script::Script,
};

/// How many names one step looks at, about.
const STEP: &str = "500";

/// One step through all names. The cursor is `ARGV[2]`, and names count that begin with `ARGV[4]`.
const STEPS: &str = "
local step = redis.call('SCAN', ARGV[2], 'MATCH', ARGV[4] .. '*', 'COUNT', ARGV[3])
local names = {}
for _, name in ipairs(step[2]) do
  if string.sub(name, 1, #ARGV[4]) == ARGV[4] then names[#names + 1] = name end
end
";

/// The tenant's data whose names begin with `ARGV[5]`.
static KEYS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(format!(
        "{EPOCH}{STEPS}
local start = ARGV[4] .. epoch .. ':'
local found = {{}}
for _, name in ipairs(names) do
  if string.sub(name, 1, #start + #ARGV[5]) == start .. ARGV[5] then found[#found + 1] = string.sub(name, #start + 1) end
end
return {{step[1], found}}"
    ))
});

/// Removes data of other epochs than the tenant's.
static SWEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(format!(
        "{EPOCH}{STEPS}
local start = ARGV[4] .. epoch .. ':'
local removed = 0
for _, name in ipairs(names) do
  if string.sub(name, 1, #start) ~= start then removed = removed + redis.call('UNLINK', name) end
end
return {{step[1], removed}}"
    ))
});

/// Removes, or with `n` for `ARGV[5]` counts, all names of the tenant, by their types.
static PURGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(format!(
        "{STEPS}
local types = {{}}
for _, name in ipairs(names) do
  local kind = redis.call('TYPE', name)
  if type(kind) == 'table' then kind = kind.ok end
  if kind ~= 'none' and (ARGV[5] == 'n' or redis.call('UNLINK', name) == 1) then types[#types + 1] = kind end
end
return {{step[1], types}}"
    ))
});

/// Looks through all names of a Redis, for those who run a service: lists a tenant's, sweeps what was flushed, and
/// [erases a tenant](crate::danger::purge).
///
/// It needs another login than the service ([`RedisLogin::Operators`](crate::RedisLogin)), because `SCAN` shows the names
/// of all tenants. Each step looks at about 500 names, so that nobody waits for it; a whole round looks at every name of
/// the server.
///
/// ```no_run
/// # async fn example(tenants: Vec<tenancy_core::TenantId>) -> Result<(), Box<dyn std::error::Error>> {
/// use tenancy_redis::{OperatorRedis, RedisClient};
///
/// // A nightly job.
/// let operators = OperatorRedis::new(&RedisClient::new("redis://operators:secret@127.0.0.1:6379")?);
/// for tenant in tenants {
///     let removed = operators.sweep(tenant).await?;
///     println!("{tenant}: {removed} flushed names removed");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OperatorRedis {
    link: Arc<Link>,
}

impl OperatorRedis {
    /// With a client that has the operators' login.
    #[must_use]
    pub fn new(client: &RedisClient) -> Self {
        Self {
            link: Arc::new(client.beside()),
        }
    }

    /// Lists the names under which a tenant keeps data, of those that begin with this: step by step.
    pub fn keys(&self, data: &TenantData, beginning: impl AsRef<[u8]>) -> KeyScan {
        KeyScan {
            operators: self.clone(),
            epoch: data.epoch_name().to_owned(),
            start: data.start().to_owned(),
            beginning: beginning.as_ref().to_vec(),
            cursor: Some(b"0".to_vec()),
        }
    }

    /// Removes what a tenant kept before its last [flush](TenantData::flush), and returns how many names that were.
    /// `SCAN` and `UNLINK`.
    ///
    /// # Errors
    /// A [`RedisError`]; what was removed until then is removed.
    pub async fn sweep(&self, tenant: TenantId) -> Result<u64, RedisError> {
        let start = layout::of_tenant(tenant, 'd');
        let (mut cursor, mut removed) = (b"0".to_vec(), 0);
        loop {
            let arguments = [b"r", &*cursor, STEP.as_bytes(), start.as_bytes()];
            let key = layout::epoch_of(tenant);
            let answer = self.link.eval(&SWEEP, &[key], &arguments).await?;
            let [next, count] = parts(answer)?;
            removed += u64::try_from(int(count)?).unwrap_or(0);
            cursor = bytes(next)?;
            if cursor == b"0" {
                return Ok(removed);
            }
        }
    }

    /// Removes everything of a tenant's, and looks whether anything is left.
    pub(crate) async fn purge(&self, tenant: TenantId) -> Result<PurgeReport, RedisError> {
        Ok(PurgeReport {
            tenant,
            removed: self.walk(tenant, 'y').await?,
            left: self.walk(tenant, 'n').await?.values().sum(),
        })
    }

    async fn walk(
        &self,
        tenant: TenantId,
        removes: char,
    ) -> Result<BTreeMap<String, u64>, RedisError> {
        let start = layout::all_of(tenant);
        let removes = removes.to_string();
        let (mut cursor, mut found) = (b"0".to_vec(), BTreeMap::new());
        loop {
            let step = [b"-", &*cursor, STEP.as_bytes(), start.as_bytes()];
            let arguments = [&step[..], &[removes.as_bytes()]].concat();
            let key = layout::epoch_of(tenant);
            // Once: what a lost answer had counted would be missing in the report.
            let answer = self.link.eval_once(&PURGE, &[key], &arguments).await?;
            let [next, types] = parts(answer)?;
            for kind in values(types)? {
                let name = match kind {
                    Value::SimpleString(name) => name,
                    other => text(other)?,
                };
                *found.entry(name).or_insert(0) += 1;
            }
            cursor = bytes(next)?;
            if cursor == b"0" {
                return Ok(found);
            }
        }
    }
}

impl fmt::Debug for OperatorRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorRedis").finish_non_exhaustive()
    }
}

/// Lists names of a tenant step by step: see [`OperatorRedis::keys`].
///
/// ```no_run
/// # async fn example(operators: &tenancy_redis::OperatorRedis, data: &tenancy_redis::TenantData) -> Result<(), tenancy_redis::RedisError> {
/// let mut reports = operators.keys(data, "report:");
/// while let Some(names) = reports.next().await? {
///     if !names.is_empty() {
///         data.remove(&names).await?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "it does nothing before it is asked"]
pub struct KeyScan {
    operators: OperatorRedis,
    epoch: String,
    start: String,
    beginning: Vec<u8>,
    cursor: Option<Vec<u8>>,
}

impl KeyScan {
    /// The names of the next step, which may be none; `None` after the last step. A name that was there all the time is
    /// among them, perhaps twice. `SCAN`.
    ///
    /// # Errors
    /// A [`RedisError`]; the same step can be taken again.
    pub async fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>, RedisError> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let arguments = [
            b"r",
            &**cursor,
            STEP.as_bytes(),
            self.start.as_bytes(),
            &self.beginning,
        ];
        let link = &self.operators.link;
        let answer = link.eval(&KEYS, &[&self.epoch], &arguments).await?;
        let [next, found] = parts(answer)?;
        let next = bytes(next)?;
        let found = values(found)?
            .into_iter()
            .map(bytes)
            .collect::<Result<_, _>>()?;
        self.cursor = (next != b"0").then_some(next);
        Ok(Some(found))
    }
}

impl fmt::Debug for KeyScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyScan")
            .field("is_over", &self.cursor.is_none())
            .finish_non_exhaustive()
    }
}

/// What was removed of a tenant, and that nothing is left: the proof of an erasure, to be kept with it.
///
/// ```no_run
/// # fn example(report: &tenancy_redis::PurgeReport) -> Result<(), Box<dyn std::error::Error>> {
/// if !report.is_complete() {
///     return Err("somebody still writes for this tenant".into());
/// }
/// println!("{}", serde_json::to_string(report)?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PurgeReport {
    /// Whose.
    pub tenant: TenantId,
    /// How many names were removed, by Redis' name of their type: `string`, `hash` and so on.
    pub removed: BTreeMap<String, u64>,
    /// How many names a second look through the whole server has found.
    pub left: u64,
}

impl PurgeReport {
    /// Whether the second look has found nothing.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.left == 0
    }
}

//! One command on one tenant's keys, whose names are completed where the epoch is known: in Redis.

use std::{sync::LazyLock, time::Duration};

use redis::Value;

use super::TenantData;
use crate::{RedisError, script::Script};

/// The longest name that an application can give, in bytes.
pub(crate) const LONGEST_NAME: usize = 4_096;

/// How many names, fields, members or values one call takes.
pub(crate) const MOST_AT_ONCE: usize = 1_000;

/// The longest time that anything is kept for: a hundred years.
const LONGEST_TIME: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Finds the epoch. `KEYS[1]` is where it is kept, and `ARGV[1]` is `w` where one begins that is missing. Without one
/// there is no data, and nothing is ever kept under 0.
pub(crate) const EPOCH: &str = "
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = '0'
  if ARGV[1] == 'w' then
    local now = redis.call('TIME')
    epoch = string.format('%.0f', now[1] * 1000000 + now[2])
    redis.call('SET', KEYS[1], epoch)
  end
end
";

/// Puts the start of a tenant's names, `ARGV[2]`, and the epoch before `ARGV[4]` words from the `ARGV[3]`th on.
const WORDS: &str = "
local words = {}
for i = 5, #ARGV do words[i - 4] = ARGV[i] end
for i = tonumber(ARGV[3]), ARGV[3] + ARGV[4] - 1 do words[i] = ARGV[2] .. epoch .. ':' .. words[i] end
";

static COMMAND: LazyLock<Script> =
    LazyLock::new(|| Script::new(format!("{EPOCH}{WORDS}return redis.call(unpack(words))")));

/// The same for a stream's group, which begins with the stream where it is missing: after a flush.
static IN_GROUP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(format!(
        "{EPOCH}{WORDS}
local answer = redis.pcall(unpack(words))
if type(answer) == 'table' and answer.err and string.find(answer.err, 'NOGROUP', 1, true) then
  redis.call('XGROUP', 'CREATE', words[tonumber(ARGV[3])], words[3], '0', 'MKSTREAM')
  answer = redis.pcall(unpack(words))
end
return answer"
    ))
});

/// How a call is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It changes nothing, or nothing where nothing is.
    Read,
    /// A repetition changes nothing more, and has the same answer.
    Again,
    /// A repetition may change more, or have another answer.
    Once,
}

/// One command.
pub(crate) struct Call {
    way: Way,
    in_group: bool,
    first: usize,
    names: usize,
    words: Vec<Vec<u8>>,
    wrong: Option<&'static str>,
}

impl Call {
    pub(crate) fn read(command: &str) -> Self {
        Self::new(Way::Read, command)
    }

    pub(crate) fn again(command: &str) -> Self {
        Self::new(Way::Again, command)
    }

    pub(crate) fn once(command: &str) -> Self {
        Self::new(Way::Once, command)
    }

    fn new(way: Way, command: &str) -> Self {
        Self {
            way,
            in_group: false,
            first: 0,
            names: 0,
            words: vec![command.as_bytes().to_vec()],
            wrong: None,
        }
    }

    /// A stream's group is made where it is missing. The third word is its name.
    pub(crate) fn in_group(mut self) -> Self {
        self.in_group = true;
        self
    }

    /// A name of the tenant's.
    pub(crate) fn name(mut self, name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        if name.len() > LONGEST_NAME {
            self.wrong = Some("a name is longer than 4,096 bytes");
        }
        if self.names == 0 {
            self.first = self.words.len() + 1;
        }
        self.names += 1;
        self.words.push(name.to_vec());
        self
    }

    /// A word that is no name.
    pub(crate) fn word(mut self, word: impl AsRef<[u8]>) -> Self {
        self.words.push(word.as_ref().to_vec());
        self
    }

    pub(crate) fn number(self, number: impl ToString) -> Self {
        self.word(number.to_string())
    }

    /// A number that may have a fraction.
    pub(crate) fn score(mut self, score: f64) -> Self {
        if score.is_nan() {
            self.wrong = Some("a score is not a number");
        }
        self.number(score)
    }

    /// A time in milliseconds, one at least.
    pub(crate) fn millis(mut self, time: Duration) -> Self {
        match millis(time) {
            Ok(millis) => self.number(millis),
            Err(why) => {
                self.wrong = Some(why);
                self
            }
        }
    }

    /// Several words; none is an error.
    pub(crate) fn words<W: AsRef<[u8]>>(mut self, words: &[W]) -> Self {
        if words.is_empty() || words.len() > MOST_AT_ONCE {
            self.wrong = Some("a call takes 1 to 1,000 of them");
            return self;
        }
        for word in words {
            self = self.word(word);
        }
        self
    }

    /// Several pairs of words; none is an error.
    pub(crate) fn pairs<K: AsRef<[u8]>, V: AsRef<[u8]>>(mut self, pairs: &[(K, V)]) -> Self {
        if pairs.is_empty() || pairs.len() > MOST_AT_ONCE {
            self.wrong = Some("a call takes 1 to 1,000 of them");
            return self;
        }
        for (key, value) in pairs {
            self = self.word(key).word(value);
        }
        self
    }

    /// Several names; none is an error.
    pub(crate) fn names<K: AsRef<[u8]>>(mut self, names: &[K]) -> Self {
        if names.is_empty() || names.len() > MOST_AT_ONCE {
            self.wrong = Some("a call takes 1 to 1,000 of them");
            return self;
        }
        for name in names {
            self = self.name(name);
        }
        self
    }

    /// Asks it of a tenant's data.
    pub(crate) async fn ask(self, data: &TenantData) -> Result<Value, RedisError> {
        if let Some(why) = self.wrong {
            return Err(RedisError::invalid(why));
        }
        let begins: &[u8] = match self.way {
            Way::Read => b"r",
            Way::Again | Way::Once => b"w",
        };
        let mut arguments = Vec::with_capacity(self.words.len() + 4);
        arguments.push(begins.to_vec());
        arguments.push(data.start().as_bytes().to_vec());
        arguments.push(self.first.to_string().into_bytes());
        arguments.push(self.names.to_string().into_bytes());
        arguments.extend(self.words);
        let script = if self.in_group { &IN_GROUP } else { &COMMAND };
        let keys = [data.epoch_name()];
        let link = data.redis().link();
        match self.way {
            Way::Once => link.eval_once(script, &keys, &arguments).await,
            Way::Read | Way::Again => link.eval(script, &keys, &arguments).await,
        }
    }
}

/// A time in milliseconds, one at least.
pub(crate) fn millis(time: Duration) -> Result<u128, &'static str> {
    if time.is_zero() || time > LONGEST_TIME {
        return Err("a time is not above 0 and up to 100 years");
    }
    Ok(time.as_millis().max(1))
}

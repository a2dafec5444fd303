//! What a script answers.

use std::time::Duration;

use redis::Value;
use tenancy_core::{
    Timestamp,
    quota::{
        Algorithm, Ceiling, Crossed, Denial, Denied, Granted, MAX_AMOUNT, Settled, Standing,
        Standings, Taken, Wait,
    },
};

use super::{request::Request, scale::Scale};
use crate::RedisError;

/// What a number that a script answers is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) algorithm: Algorithm,
    pub(super) amount: u64,
    /// Of a rate.
    pub(super) scale: Option<Scale>,
}

impl Counted {
    fn standing(&self, used: u64, behind: Duration, now: Timestamp) -> Standing {
        match (&self.algorithm, &self.scale) {
            (_, Some(scale)) => scale.standing(used, behind),
            (Algorithm::Period(ceiling, window), _) => {
                Standing::new(ceiling.amount(), used, Some(window.rest(now)))
            }
            (Algorithm::Concurrent(limit), _) => Standing::new(limit.amount(), used, None),
            (Algorithm::Held(ceiling, _), _) => Standing::new(ceiling.amount(), used, None),
            _ => Standing::default(),
        }
    }

    fn denial(&self, used: u64, behind: Duration, now: Timestamp) -> Denial {
        if let Some(scale) = &self.scale {
            return scale.denial(self.amount, used, behind);
        }
        let is_above = |ceiling: &Ceiling| self.amount > ceiling.most().unwrap_or(MAX_AMOUNT);
        let wait = match &self.algorithm {
            Algorithm::Period(ceiling, _) | Algorithm::Held(ceiling, _) if is_above(ceiling) => {
                Wait::Forever
            }
            Algorithm::Period(_, window) => Wait::For(window.rest(now)),
            Algorithm::Concurrent(limit) if self.amount > limit.amount() => Wait::Forever,
            _ => Wait::Unknown,
        };
        Denial::new(self.standing(used, behind, now), wait)
    }
}

/// The numbers of an answer. What starts anew is told in the log.
fn numbers(answer: Value) -> Result<(i64, Vec<i64>), RedisError> {
    let number = |value| match value {
        Value::Int(number) => Some(number),
        _ => None,
    };
    let all: Option<Vec<i64>> = match answer {
        Value::Array(values) => values.into_iter().map(number).collect(),
        _ => None,
    };
    let all = all.unwrap_or_default();
    let Some((status, [mended, rest @ ..])) = all.split_first() else {
        return Err(nonsense());
    };
    if *mended > 0 {
        tracing::warn!(
            counters = mended,
            "counters in Redis could not be read, and start anew"
        );
    }
    Ok((*status, rest.to_vec()))
}

fn nonsense() -> RedisError {
    RedisError::unexpected("this is no answer of the script")
}

/// What a take is told.
struct Told {
    used: u64,
    behind: Duration,
    refuses: bool,
    crossed: u8,
}

fn told(request: &Request, rest: &[i64]) -> Result<Vec<Told>, RedisError> {
    if rest.len() != 4 * request.counted.len() {
        return Err(nonsense());
    }
    let each = rest.chunks_exact(4).map(|each| {
        let &[used, behind, refuses, crossed] = each else {
            return None;
        };
        Some(Told {
            used: u64::try_from(used).ok()?,
            behind: Duration::from_micros(u64::try_from(behind).ok()?),
            refuses: refuses != 0,
            crossed: u8::try_from(crossed).ok()?,
        })
    });
    each.collect::<Option<_>>().ok_or_else(nonsense)
}

/// What has become of a take.
pub(super) fn taken(request: &Request, answer: Value, now: Timestamp) -> Result<Taken, RedisError> {
    let (status, rest) = numbers(answer)?;
    let told = told(request, &rest)?;
    let each = told.iter().zip(&request.counted).zip(&request.places);
    if status == 2 {
        let denied = each
            .filter(|((told, _), _)| told.refuses)
            .map(|((told, counted), place)| {
                Denied::new(*place, counted.denial(told.used, told.behind, now))
            })
            .collect();
        return Ok(Taken::Denied(denied));
    }
    let (mut standings, mut crossed) = (Standings::default(), Vec::new());
    for ((told, counted), place) in each {
        standings.push(counted.standing(told.used, told.behind, now));
        if told.crossed > 0 {
            crossed.push(Crossed::new(*place, told.crossed));
        }
    }
    match status {
        0 | 1 => Ok(Taken::Granted(Granted::new(
            standings,
            crossed,
            status == 1,
        ))),
        _ => Err(nonsense()),
    }
}

/// Where limits stand.
pub(super) fn standings(
    request: &Request,
    answer: Value,
    now: Timestamp,
) -> Result<Vec<Standing>, RedisError> {
    let (_, rest) = numbers(answer)?;
    let told = told(request, &rest)?;
    let each = told.iter().zip(&request.counted);
    Ok(each
        .map(|(told, counted)| counted.standing(told.used, told.behind, now))
        .collect())
}

/// What has become of a settlement.
pub(super) fn settled(answer: Value) -> Result<Settled, RedisError> {
    match numbers(answer)?.0 {
        0 => Ok(Settled::Done),
        1 => Ok(Settled::Repeated),
        2 => Ok(Settled::Late),
        _ => Err(nonsense()),
    }
}

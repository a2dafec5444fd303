//! What a script is asked: keys, and numbers packed as doubles.

use std::time::Duration;

use tenancy_core::{
    Timestamp,
    quota::{Algorithm, CountersError, MAX_AMOUNT, MAX_TAKES, OperationId, Take},
};

use super::{
    answer::Counted,
    home::Home,
    keys,
    scale::{EXACT, Scale},
};

/// How long a key is kept that keeps something, after its last use.
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// What is done with a take.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// It is taken.
    Take,
    /// It turned out to be so much.
    Settle(u64),
    /// What was kept is free again.
    GiveBack,
    /// Its amount does not count.
    Look,
}

/// The numbers of a call that do not belong to one take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// What the clock of the caller shows.
    pub(super) now: Timestamp,
    /// Whether that is the clock that counts; else the server's.
    pub(super) by_caller: bool,
    /// How long what is done now is remembered, and how long a call may come a second time.
    pub(super) remember: Duration,
    pub(super) resend: Duration,
    /// How much longer than they count keys are kept.
    pub(super) slack: Duration,
    pub(super) once: bool,
    /// Of a take: 1 if it is asked for alone. Of a settlement: 1 if all is given back, and 2 if all is, unless a repetition
    /// was granted with it.
    pub(super) flag: u8,
}

/// One call of a script, for takes of one home, or of several where they are in one place.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<Vec<u8>>,
    /// What is counted, in the order of the takes that are in it.
    pub(super) counted: Vec<Counted>,
    /// Which of all takes these are.
    pub(super) places: Vec<usize>,
    /// Whether one of them is of something that several have at once.
    pub(super) has_several: bool,
    header: Header,
    homes: usize,
}

impl Request {
    /// A call for these takes, by their places among all.
    pub(super) fn new<'a>(
        header: Header,
        operation: OperationId,
        takes: impl IntoIterator<Item = (usize, Take<'a>, Change)>,
    ) -> Result<Self, CountersError> {
        let takes: Vec<_> = takes.into_iter().collect();
        let mut homes: Vec<Home> = Vec::new();
        for (_, take, _) in &takes {
            let home = Home::of(&take.holder);
            if !homes.contains(&home) {
                homes.push(home);
            }
        }
        // A tenant first, and always the same one.
        homes.sort_unstable();
        let mut request = Self {
            keys: Vec::with_capacity(homes.len() + 2 * takes.len()),
            arguments: Vec::with_capacity(3 + takes.len()),
            counted: Vec::with_capacity(takes.len()),
            places: Vec::with_capacity(takes.len()),
            has_several: false,
            header,
            homes: homes.len(),
        };
        for home in homes {
            request.keys.push(keys::of_operation(home, operation));
        }
        let call = OperationId::unique().as_u128();
        request.arguments.push(request.packed_header());
        request.arguments.push(format!("{call:x}").into_bytes());
        let operation = operation.as_u128();
        let operation = format!("{operation:032x}");
        request.arguments.push(operation.into_bytes());
        for (place, take, change) in takes {
            request.places.push(place);
            request.push(&take, change)?;
        }
        Ok(request)
    }

    /// The same, with another flag.
    pub(super) fn flagged(mut self) -> Self {
        self.header.flag = 1;
        let packed = self.packed_header();
        if let Some(header) = self.arguments.first_mut() {
            *header = packed;
        }
        self
    }

    fn packed_header(&self) -> Vec<u8> {
        let header = &self.header;
        let now = match header.by_caller {
            true => micros(header.now),
            // It asks its own.
            false => f64::NAN,
        };
        pack(&[
            now,
            milliseconds(header.remember),
            milliseconds(header.resend),
            milliseconds(header.slack),
            f64::from(u8::from(header.once)),
            f64::from(header.flag),
            self.homes as f64,
        ])
    }

    fn push(&mut self, take: &Take<'_>, change: Change) -> Result<(), CountersError> {
        let mut scale = None;
        let (more, less) = match change {
            Change::Take => (take.amount, 0),
            Change::Settle(actual) => (
                actual.saturating_sub(take.amount),
                take.amount.saturating_sub(actual),
            ),
            Change::GiveBack => (0, take.amount),
            Change::Look => (0, 0),
        };
        let is_take = matches!(change, Change::Take);
        // Kind, amount, most, unit, leak, cap, keep: see the script of each kind.
        let (numbers, limit) = match take.algorithm {
            Algorithm::Rate(rate) => {
                let by = *scale.insert(Scale::of(rate));
                let most = match is_take {
                    true => by.room(more).map_or(-1.0, number),
                    false => number(by.parts(less)),
                };
                let (unit, cap) = (number(by.unit), number(EXACT));
                let numbers = [0.0, number(by.parts(more)), most, unit, by.leak, cap, 0.0];
                (numbers, rate.burst())
            }
            Algorithm::Period(ceiling, window) => {
                let most = match is_take {
                    true => ceiling.most().unwrap_or(MAX_AMOUNT),
                    false => less,
                };
                let length = micros(window.end) - micros(window.start);
                // One period more, for a clock that is set back.
                let keep = micros(window.end) - micros(self.header.now) + length;
                let start = micros(window.start);
                let cap = number(MAX_AMOUNT);
                let numbers = [1.0, number(more), number(most), start, length, cap, keep];
                (numbers, ceiling.amount())
            }
            Algorithm::Concurrent(limit) => {
                let lease = span(limit.lease());
                let (amount, most) = if is_take {
                    (more, limit.amount())
                } else {
                    (0, 0)
                };
                let cap = number(MAX_AMOUNT);
                let numbers = [2.0, number(amount), number(most), lease, 0.0, cap, 0.0];
                (numbers, limit.amount())
            }
            Algorithm::Held(ceiling, lasts) => {
                let (amount, most) = match change {
                    Change::Take => (take.amount, ceiling.most().unwrap_or(MAX_AMOUNT)),
                    Change::Settle(actual) => (actual, 0),
                    Change::GiveBack => (0, take.amount),
                    Change::Look => (0, 0),
                };
                let (lasts, cap) = (span(lasts), number(MAX_AMOUNT));
                let year = milliseconds(YEAR);
                let numbers = [3.0, number(amount), number(most), lasts, 0.0, cap, year];
                (numbers, ceiling.amount())
            }
            _ => {
                let why = "Redis has no way to count a limit of this kind";
                return Err(CountersError::unavailable(why));
            }
        };
        let mut packed = pack(&numbers);
        for percent in take.warn_at {
            let least = (u128::from(limit) * u128::from(*percent))
                .div_ceil(100)
                .max(1);
            let least = u64::try_from(least).unwrap_or(u64::MAX);
            packed.extend(pack(&[f64::from(*percent), number(least)]));
        }
        self.arguments.push(packed);
        let key = keys::of_counter(take);
        let is_several = numbers.first().is_some_and(|kind| *kind >= 2.0);
        let ends = is_several.then(|| keys::of_ends(&key));
        self.has_several |= is_several;
        self.keys.push(key);
        self.keys.extend(ends);
        self.counted.push(Counted {
            algorithm: take.algorithm,
            amount: take.amount,
            scale,
        });
        Ok(())
    }
}

/// Whether an operation can take of these at all.
pub(super) fn check(takes: &[Take<'_>]) -> Result<(), CountersError> {
    if takes.len() > MAX_TAKES {
        return Err(CountersError::Malformed);
    }
    let is_same = |one: &Take<'_>, other: &Take<'_>| {
        let kind = |take: &Take<'_>| std::mem::discriminant(&take.algorithm);
        one.holder == other.holder && one.limit == other.limit && kind(one) == kind(other)
    };
    for (place, take) in takes.iter().enumerate() {
        if takes.iter().take(place).any(|other| is_same(take, other)) {
            return Err(CountersError::Malformed);
        }
    }
    Ok(())
}

fn pack(numbers: &[f64]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// What doubles count exactly; nothing is used beyond.
fn number(number: u64) -> f64 {
    number.min(EXACT) as f64
}

fn micros(moment: Timestamp) -> f64 {
    let most = EXACT as i64;
    moment.as_unix_micros().clamp(-most, most) as f64
}

/// In microseconds. A key that were to end later than can be counted would have no end at all.
fn span(time: Duration) -> f64 {
    (time.as_micros() as f64).min(number(EXACT))
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_millis() as f64).clamp(1.0, number(EXACT))
}

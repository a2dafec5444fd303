//! The watch of this process: one, whoever asks for it, and it does not stop.

use std::{
    collections::{BTreeSet, VecDeque},
    io::Write as _,
    process,
    sync::{Mutex, MutexGuard, Once, PoisonError},
};

use tenancy_core::key::IssuedKey;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{
    capture::{Records, layer},
    left_out::is_left_out,
    line::Line,
    shapes,
    told::{SHORTEST, Told, secret_part, unescaped},
};

/// So many lines are kept for secrets that are told of a little after they were used. A helper tells
/// of what it made at once; what is between is the statements that stored it.
const RECENT: usize = 4096;

/// The kind of what [`issued`] told of.
const TOLD_OF: &str = "what was told of";

static WATCHED: Mutex<Watched> = Mutex::new(Watched::new());
static STARTED: Once = Once::new();

struct Watched {
    away: bool,
    told: Option<Told>,
    recent: VecDeque<Line>,
    ours: Vec<Line>,
    seen: Seen,
}

/// What has been looked at, so that a test can tell that it was not nothing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Seen {
    /// Lines that were searched.
    pub lines: usize,
    /// The crates that logged them, by the first part of their targets.
    pub crates: BTreeSet<String>,
    /// Secrets that they were searched for.
    pub secrets: usize,
}

impl Watched {
    const fn new() -> Self {
        Self {
            away: false,
            told: None,
            recent: VecDeque::new(),
            ours: Vec::new(),
            seen: Seen {
                lines: 0,
                crates: BTreeSet::new(),
                secrets: 0,
            },
        }
    }
}

fn watched() -> MutexGuard<'static, Watched> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches from now on; later calls change nothing.
///
/// Ends the process if another subscriber or logger has been installed for all of it, because that
/// one's lines would go unseen.
pub fn watch() {
    STARTED.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(layer());
        if let Err(error) = tracing::subscriber::set_global_default(subscriber) {
            end(&format!("the log can't be watched: {error}"));
        }
        if let Err(error) = log::set_logger(&Records) {
            end(&format!("the log can't be watched: {error}"));
        }
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// Has later calls of everything here do nothing: for programs that measure, and for those that are
/// no test but use the harness.
pub fn look_away() {
    STARTED.call_once(|| watched().away = true);
}

/// Tells of a secret, and [watches](watch): it must not be logged, now, later, or in the lines before.
///
/// Of an API key it is the secret part that counts, and of a token the signature. Told twice is told
/// once. What is shorter than 8 bytes ends the process, because it would be found everywhere.
pub fn issued(secret: impl AsRef<[u8]>) {
    watch();
    let secret = secret.as_ref();
    let secret = str::from_utf8(secret).map_or(secret, |text| secret_part(text).as_bytes());
    if secret.len() < SHORTEST {
        end(&format!(
            "a secret of {} bytes can't be looked for",
            secret.len()
        ));
    }
    let mut watched = watched();
    if watched.away || !watched.told.get_or_insert_default().add(secret) {
        return;
    }
    watched.seen.secrets += 1;
    let mut alone = Told::default();
    alone.add(secret);
    for line in &watched.recent {
        search(line, |text| alone.is_in(text).then_some(TOLD_OF));
    }
}

/// Tells of an API key: its text, and what is stored of it.
pub fn issued_key(key: &IssuedKey) {
    issued(key.expose());
    if let Some(digest) = key.record().verifier.digest() {
        issued(digest.as_bytes());
    }
}

/// What has been looked at so far.
#[must_use]
pub fn seen() -> Seen {
    watched().seen.clone()
}

/// A place in what the library itself has logged by now.
#[must_use]
pub fn mark() -> usize {
    watched().ours.len()
}

/// What the library itself has logged since, at whatever level and on whatever thread: the targets
/// that begin with `tenancy`.
#[must_use]
pub fn ours_since(mark: usize) -> Vec<Line> {
    watched().ours.iter().skip(mark).cloned().collect()
}

/// Takes a line that has just been logged.
pub(crate) fn write(line: Line) {
    if is_left_out(&line.target) {
        return;
    }
    let mut watched = watched();
    watched.seen.lines += 1;
    let name = line.target.split("::").next().unwrap_or_default();
    if !watched.seen.crates.contains(name) {
        watched.seen.crates.insert(name.to_owned());
    }
    search(&line, |text| match &watched.told {
        Some(told) if told.is_in(text) => Some(TOLD_OF),
        _ => shapes::find(text),
    });
    if line.target.starts_with("tenancy") {
        watched.ours.push(line.clone());
    }
    if watched.recent.len() == RECENT {
        watched.recent.pop_front();
    }
    watched.recent.push_back(line);
}

/// Ends the process if there is a secret in the line; says where, and not what.
fn search(line: &Line, find: impl Fn(&str) -> Option<&'static str>) {
    for (field, value) in &line.fields {
        if let Some(kind) = find(&unescaped(value)) {
            end(&format!(
                "a secret was logged: {kind}, in the field `{field}` of `{}` at {}",
                line.target, line.level
            ));
        }
    }
}

/// Ends the process at once, whichever thread notices.
fn end(why: &str) -> ! {
    // Past the test runner, which hides what tests print.
    let _ = std::io::stderr().write_all(format!("LOGWATCH: {why}\n").as_bytes());
    process::abort();
}

//! The process a throw-away cluster lives as long as.

use std::{env, fs, os::unix::process::parent_id, path::Path, process::Command, sync::OnceLock};

use serde::{Deserialize, Serialize};

use super::Error;

/// A process that runs test binaries, such as `cargo test`.
///
/// Process ids are given out again, so the moment it started is part of its identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Launcher {
    pid: u32,
    started: String,
}

impl Launcher {
    /// The process named by `TENANCY_TEST_LAUNCHER`, else the parent of this one. An orphan is its
    /// own launcher.
    ///
    /// # Errors
    ///
    /// When `TENANCY_TEST_LAUNCHER` names no running process.
    pub fn current() -> Result<Self, Error> {
        // Asked once: when the parent is killed, somebody else becomes the parent.
        static CURRENT: OnceLock<Launcher> = OnceLock::new();
        match CURRENT.get() {
            Some(launcher) => Ok(launcher.clone()),
            None => Self::find().map(|found| CURRENT.get_or_init(|| found).clone()),
        }
    }

    fn find() -> Result<Self, Error> {
        if let Ok(value) = env::var("TENANCY_TEST_LAUNCHER") {
            return value
                .parse()
                .ok()
                .and_then(Self::of)
                .ok_or_else(|| Error::Unavailable {
                    what: format!("the process in TENANCY_TEST_LAUNCHER={value}"),
                    mend: "unset the variable, or set it to the id of a running process".into(),
                });
        }
        Some(parent_id())
            // Orphans are given to the first process, which ends when the machine does.
            .filter(|&parent| parent > 1)
            .and_then(Self::of)
            .or_else(|| Self::of(std::process::id()))
            .ok_or_else(|| Error::Unavailable {
                what: "a way to look at running processes".into(),
                mend: "install `ps`, or mount /proc".into(),
            })
    }

    /// The process with this id, if it runs.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        started(pid).map(|started| Self { pid, started })
    }

    /// Whether it still runs, as opposed to a later process with the same id.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        started(self.pid).as_ref() == Some(&self.started)
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }
}

fn started(pid: u32) -> Option<String> {
    if Path::new("/proc/self/stat").exists() {
        return fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| field(&stat));
    }
    let output = Command::new("ps")
        .args(["-o", "lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Start time of a process that has not ended: a zombie counts as gone.
fn field(stat: &str) -> Option<String> {
    // The second field is the program's name, which may itself hold spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Launcher, field};

    #[test]
    fn start_time_is_read_past_a_strange_program_name() {
        let stat = "7 (a) S (b) S 1 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 4242 9 9";
        assert_eq!(field(stat).as_deref(), Some("4242"));
        assert_eq!(field(&stat.replace(" S 1 ", " Z 1 ")), None);
    }

    #[test]
    fn another_start_time_is_another_process() {
        let me = Launcher::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(
            !Launcher {
                started: "long ago".into(),
                ..me
            }
            .is_alive()
        );
    }
}

//! Finds the PostgreSQL server programs of this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Error, account::effective_uid};

/// Row security as the library uses it (`security_invoker` views among others) begins here.
const OLDEST_MAJOR: u32 = 15;

/// Directories that packagers put `<something><version>/bin` below.
const PACKAGED: [&str; 6] = [
    "/usr/lib/postgresql",
    "/usr/local/lib/postgresql",
    "/usr",
    "/opt/homebrew/opt",
    "/usr/local/opt",
    "/Applications/Postgres.app/Contents/Versions",
];

/// A directory with `initdb` and `postgres`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// The server of this machine: `TENANCY_PG_BIN`, else the one on `PATH`, else the newest that
    /// a package manager installed.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when there is none, or only one older than PostgreSQL 15.
    pub fn installed() -> Result<Self, Error> {
        let what = format!("PostgreSQL {OLDEST_MAJOR} or newer");
        if let Some(dir) = variable("TENANCY_PG_BIN") {
            return Self::at(&dir).ok_or_else(|| Error::Unavailable {
                what: format!("{what} in TENANCY_PG_BIN={}", dir.display()),
                mend: "point TENANCY_PG_BIN at the directory of `initdb` and `postgres`".into(),
            });
        }
        on_path()
            .or_else(packaged)
            .ok_or_else(|| Error::Unavailable {
                what,
                mend: "run `apt-get install postgresql-15` (or `brew install postgresql@17`), or \
                       set DATABASE_URL, or run `docker compose up -d` and set DATABASE_URL as \
                       compose.yaml says"
                    .into(),
            })
    }

    /// PostgreSQL 18: `TENANCY_PG18_BIN`, else what `scripts/postgres-18` fetched.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when there is none.
    pub fn v18() -> Result<Self, Error> {
        let dir = match variable("TENANCY_PG18_BIN") {
            Some(dir) => dir,
            None => fetched("postgres-18")?.join("current/bin"),
        };
        Self::at(&dir)
            .filter(|found| found.major >= 18)
            .ok_or_else(|| Error::Unavailable {
                what: format!("PostgreSQL 18 in {}", dir.display()),
                mend: "run `scripts/postgres-18`, or set TENANCY_PG18_BIN".into(),
            })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether there is a program of this name too.
    pub(super) fn has(&self, program: &str) -> bool {
        self.dir.join(program).exists()
    }

    /// The major version, such as 15.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    fn at(dir: &Path) -> Option<Self> {
        let initdb = dir.join("initdb").is_file();
        let output = Command::new(dir.join("postgres"))
            .arg("--version")
            .output()
            .ok()?;
        let major = major(&String::from_utf8_lossy(&output.stdout))?;
        (initdb && major >= OLDEST_MAJOR).then(|| Self {
            dir: dir.to_owned(),
            major,
        })
    }
}

pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Where a script in `scripts` of that name puts what it fetches. Root's own cache is closed to the
/// account that servers run as, hence a second place.
pub(crate) fn fetched(script: &str) -> Result<PathBuf, Error> {
    if effective_uid()? == 0 {
        return Ok(Path::new("/var/cache/tenancy").join(script));
    }
    let cache = variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir);
    Ok(cache.join("tenancy").join(script))
}

/// `pg_config` is asked first: on Debian it is on `PATH` while the server programs are not.
fn on_path() -> Option<Binaries> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let path = env::var_os("PATH").unwrap_or_default();
    told.into_iter()
        .chain(env::split_paths(&path))
        .find_map(|dir| Binaries::at(&dir))
}

fn packaged() -> Option<Binaries> {
    PACKAGED
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path().join("bin")))
        .filter_map(|dir| Binaries::at(&dir))
        .max_by_key(|found| found.major)
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, and `18beta1` too.
fn major(text: &str) -> Option<u32> {
    let version = text.split("(PostgreSQL)").nth(1)?.trim_start();
    let end = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn reads_the_major_version() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major("something else 18.1"), None);
    }
}

//! A throw-away PgBouncer in front of a server.

use std::{
    fs, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgSslMode},
};
use tempfile::TempDir;

use super::{
    Error, Server,
    account::Account,
    binaries::{fetched, variable},
    cluster::{answers, free_port},
    server::{required, say_skipped},
};

/// Which PgBouncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PgBouncerVersion {
    /// Before 1.21: it knows nothing of prepared statements.
    Old,
    /// From 1.21 on: it keeps track of them unless told not to.
    New,
}

/// A PgBouncer that listens on loopback, **asks nobody for a password**, and ends with this value or
/// with the process.
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub struct PgBouncer {
    port: u16,
    shell: Child,
    life: Option<ChildStdin>,
    _dir: TempDir,
}

/// Ends what it runs, and tidies up, when nobody holds its input any more, however that came about.
/// Newer ones wait for their clients to leave before they heed a gentler signal.
const RUN: &str = "\"$0\" pgbouncer.ini & read -r _; kill -KILL $!; wait; rm -rf \"$PWD\"";

const PATIENCE: Duration = Duration::from_secs(20);

impl PgBouncerVersion {
    /// Those that are here. One that is missing is told on stderr, unless
    /// `TENANCY_REQUIRE_PGBOUNCER=1` or, with that variable unset, `CI` is set.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if one is missing that must not be.
    pub fn all() -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        for version in [Self::Old, Self::New] {
            match version.program() {
                Ok(_) => all.push(version),
                Err(error) if error.is_unavailable() && !required("TENANCY_REQUIRE_PGBOUNCER") => {
                    say_skipped(&error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn program(self) -> Result<PathBuf, Error> {
        let (name, told) = match self {
            Self::Old => ("old", "TENANCY_PGBOUNCER_OLD"),
            Self::New => ("new", "TENANCY_PGBOUNCER_NEW"),
        };
        let program = match variable(told) {
            Some(program) => program,
            None => fetched("pgbouncer")?.join(name).join("pgbouncer"),
        };
        let output = Command::new(&program).arg("--version").output();
        if output.is_ok_and(|output| output.status.success()) {
            return Ok(program);
        }
        Err(Error::Unavailable {
            what: format!("PgBouncer at {}", program.display()),
            mend: format!("run `scripts/pgbouncer`, or set {told}"),
        })
    }
}

impl PgBouncer {
    /// Starts one, with further settings as its file has them, one a line. `logins` are let in, with
    /// the password that the server asks for.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no such PgBouncer here; others if it does not start.
    pub async fn start(
        version: PgBouncerVersion,
        server: &Server,
        logins: &[(&str, &str)],
        settings: &str,
    ) -> Result<Self, Error> {
        let program = version.program()?;
        let admin = server.admin_options();
        let mut users = users(&admin);
        for (name, password) in logins {
            users.push_str(&format!("\"{name}\" \"{password}\"\n"));
        }
        let host = match admin.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => admin.get_host().to_owned(),
        };
        let settings = format!(
            "[databases]\n* = host={host} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = users\n{settings}\n",
            admin.get_port()
        );
        tokio::task::spawn_blocking(move || Self::launch(&program, &users, &settings))
            .await
            .map_err(io::Error::other)
            .map_err(Error::io("starting PgBouncer was interrupted"))?
    }

    /// The same options, through this.
    #[must_use]
    pub fn reroute(&self, options: PgConnectOptions) -> PgConnectOptions {
        options
            .host("127.0.0.1")
            .port(self.port)
            .ssl_mode(PgSslMode::Disable)
    }

    fn launch(program: &Path, users: &str, settings: &str) -> Result<Self, Error> {
        // Somebody else may take the free port before PgBouncer does.
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::launch_on(free_port()?, program, users, settings) {
                Err(Error::Startup { log }) if tries < 5 && log.contains("cannot listen") => {}
                other => return other,
            }
        }
    }

    fn launch_on(port: u16, program: &Path, users: &str, settings: &str) -> Result<Self, Error> {
        let account = Account::choose()?;
        let dir = tempfile::Builder::new()
            .prefix("tenancy-pgbouncer-")
            .tempdir()
            .map_err(Error::io("cannot create a directory for PgBouncer"))?;
        let settings = format!("{settings}listen_port = {port}\n");
        for (name, text) in [("users", users), ("pgbouncer.ini", &settings)] {
            let path = dir.path().join(name);
            fs::write(&path, text).map_err(Error::io("cannot configure PgBouncer"))?;
            account.own(&path)?;
        }
        account.own(dir.path())?;
        let log_path = dir.path().join("log");
        let log = fs::File::create(&log_path).map_err(Error::io("cannot create a log"))?;
        let errors = log.try_clone().map_err(Error::io("cannot share a log"))?;

        let mut command = Command::new("sh");
        command.arg("-c").arg(RUN).arg(program);
        command.current_dir(dir.path()).process_group(0);
        command.stdin(Stdio::piped()).stdout(log).stderr(errors);
        account.apply(&mut command);
        let mut shell = command.spawn().map_err(Error::io("cannot run sh"))?;
        let mut started = Self {
            port,
            life: shell.stdin.take(),
            shell,
            _dir: dir,
        };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            if log.contains("FATAL") || log.contains("cannot listen") {
                break;
            }
            if log.contains("process up") && answers(port) {
                return Ok(started);
            }
            sleep(Duration::from_millis(5));
        }
        let log = fs::read_to_string(log_path).unwrap_or_default();
        started.end();
        Err(Error::Startup { log })
    }

    fn end(&mut self) {
        drop(self.life.take());
        let _ = self.shell.wait();
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The administrator, in the form of PgBouncer's file.
fn users(admin: &PgConnectOptions) -> String {
    let url = admin.to_url_lossy();
    let password = decoded(url.password().unwrap_or_default());
    format!(
        "\"{}\" \"{}\"\n",
        admin.get_username(),
        password.replace('"', "\"\"")
    )
}

/// A part of a URL without its `%20`s.
fn decoded(part: &str) -> String {
    let mut pieces = part.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2).unwrap_or(("", piece));
        bytes.extend(u8::from_str_radix(code, 16).ok());
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn reads_a_password_in_a_url() {
        assert_eq!(decoded("a%20b%C3%A9%25c"), "a bé%c");
        assert_eq!(decoded("plain"), "plain");
    }
}

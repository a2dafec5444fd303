//! One process of a server, which ends with this value or with the process of the tests.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::postgres::{Account, Error, answers};

/// Ends what it runs, and tidies up, when nobody holds its input any more, however that came about.
const RUN: &str =
    "\"$0\" \"$@\" & echo $! >pid; read -r _; kill -CONT $!; kill -KILL $!; wait; rm -rf \"$PWD\"";

const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub(super) struct Process {
    shell: Child,
    life: Option<ChildStdin>,
    dir: TempDir,
}

impl Process {
    /// Starts a program with a file of settings, and waits until it listens.
    pub(super) fn start(
        program: &Path,
        port: u16,
        settings: &str,
        arguments: &[&str],
    ) -> Result<Self, Error> {
        let account = Account::choose()?;
        let dir = tempfile::Builder::new()
            .prefix("tenancy-redis-")
            .tempdir()
            .map_err(Error::io("cannot create a directory for Redis"))?;
        let file = dir.path().join("redis.conf");
        fs::write(&file, settings).map_err(Error::io("cannot configure Redis"))?;
        account.own(&file)?;
        account.own(dir.path())?;
        let log_path = dir.path().join("log");
        let log = fs::File::create(&log_path).map_err(Error::io("cannot create a log"))?;
        let errors = log.try_clone().map_err(Error::io("cannot share a log"))?;

        let mut command = Command::new("sh");
        command.arg("-c").arg(RUN).arg(program).arg("redis.conf");
        command.args(arguments);
        command.current_dir(dir.path()).process_group(0);
        command.stdin(Stdio::piped()).stdout(log).stderr(errors);
        account.apply(&mut command);
        let mut shell = command.spawn().map_err(Error::io("cannot run sh"))?;
        let started = Self {
            life: shell.stdin.take(),
            shell,
            dir,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            let is_ready =
                log.contains("eady to accept connections") || log.contains("Sentinel ID");
            if is_ready && answers(port) {
                return Ok(started);
            }
            let failed = log.contains("Failed listening") || log.contains("FATAL");
            if failed || Instant::now() > deadline {
                return Err(Error::Startup { log });
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by its name: `STOP`, `CONT`.
    pub(super) fn signal(&self, name: &str) -> Result<(), Error> {
        let pid = fs::read_to_string(self.dir.path().join("pid"))
            .map_err(Error::io("cannot tell which process Redis is"))?;
        Command::new("kill")
            .args([&format!("-{name}"), pid.trim()])
            .status()
            .map(drop)
            .map_err(Error::io("cannot send a signal"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.life.take());
        let _ = self.shell.wait();
    }
}

//! Gets rid of throw-away clusters, now or when their launcher has ended.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{Error, Launcher};

const SCRIPT: &str = include_str!("cleanup.sh");

/// Stops the server in `dir`, if one runs, and deletes `dir`.
pub(super) fn reap(dir: &Path) -> Result<(), Error> {
    let status = shell("reap", dir, None)
        .and_then(|mut shell| shell.wait())
        .map_err(Error::io("cannot run sh"))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command {
        program: format!("cleaning up {}", dir.display()),
        output: status.to_string(),
    })
}

/// Starts a process that outlives this one and reaps `dir` once the launcher has ended.
///
/// Test binaries have no hook that runs after the last of them, so somebody else has to wait.
pub(super) fn watch(dir: &Path, launcher: &Launcher) -> Result<(), Error> {
    shell("watch", dir, Some(launcher))
        .map(drop)
        .map_err(Error::io("cannot run sh"))
}

fn shell(mode: &str, dir: &Path, launcher: Option<&Launcher>) -> io::Result<Child> {
    let mut child = Command::new("sh")
        .args(["-s", mode])
        .arg(dir)
        .args(launcher.map(|launcher| launcher.pid().to_string()))
        .current_dir("/")
        // The script goes in here, so that the process list stays readable.
        .stdin(Stdio::piped())
        // Whoever reads our output waits for every copy of the pipe to close.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A Ctrl-C that ends the tests must not end their cleaner.
        .process_group(0)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(SCRIPT.as_bytes())?;
    }
    Ok(child)
}

//! Throw-away clusters: shared by the tests of one launcher, and gone when it is.

mod support;

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use support::eventually;
use tenancy_tests::{ClusterRegistry, Launcher};

/// A process that can stand in for `cargo test`, and be ended.
fn launcher() -> Result<(Child, Launcher)> {
    let child = Command::new("sleep")
        .arg("600")
        .stdout(Stdio::null())
        .spawn()?;
    let launcher = Launcher::of(child.id()).context("sleep does not run")?;
    Ok((child, launcher))
}

#[test]
fn one_launcher_shares_a_cluster_and_another_gets_its_own() -> Result<()> {
    let Some(binaries) = support::binaries()? else {
        return Ok(());
    };
    let place = tempfile::tempdir()?;
    let (mut first, first_launcher) = launcher()?;
    let (mut second, second_launcher) = launcher()?;
    let of_first = ClusterRegistry::at(place.path(), first_launcher)?;

    let shared = of_first.acquire(&binaries)?;
    assert_eq!(of_first.acquire(&binaries)?, shared);
    let separate = ClusterRegistry::at(place.path(), second_launcher)?.acquire(&binaries)?;
    assert_ne!(separate.port, shared.port);
    assert_ne!(separate.dir, shared.dir);

    for child in [&mut first, &mut second] {
        child.kill()?;
        child.wait()?;
    }
    eventually("the watchdogs delete both", || {
        !shared.dir.exists() && !separate.dir.exists()
    })
}

#[test]
fn the_next_run_reaps_what_a_dead_launcher_left() -> Result<()> {
    let Some(binaries) = support::binaries()? else {
        return Ok(());
    };
    let place = tempfile::tempdir()?;
    let (mut dead, dead_launcher) = launcher()?;
    let left = ClusterRegistry::at(place.path(), dead_launcher)?.acquire(&binaries)?;
    dead.kill()?;
    dead.wait()?;

    let (mut next, next_launcher) = launcher()?;
    let fresh = ClusterRegistry::at(place.path(), next_launcher)?.acquire(&binaries)?;

    assert!(!left.dir.exists());
    assert!(!support::listens(left.port));
    assert!(support::listens(fresh.port));
    next.kill()?;
    next.wait()?;
    eventually("the watchdog deletes the second", || !fresh.dir.exists())
}

#[test]
fn nothing_is_made_for_a_dead_launcher() -> Result<()> {
    let Some(binaries) = support::binaries()? else {
        return Ok(());
    };
    let place = tempfile::tempdir()?;
    let (mut child, launcher) = launcher()?;
    let registry = ClusterRegistry::at(place.path(), launcher)?;
    child.kill()?;
    child.wait()?;

    assert!(
        registry
            .acquire(&binaries)
            .is_err_and(|error| error.is_unavailable())
    );
    Ok(())
}

#[test]
fn a_cluster_that_died_is_replaced() -> Result<()> {
    let Some(binaries) = support::binaries()? else {
        return Ok(());
    };
    let place = tempfile::tempdir()?;
    let (mut child, launcher) = launcher()?;
    let registry = ClusterRegistry::at(place.path(), launcher)?;
    let crashed = registry.acquire(&binaries)?;
    let pid = fs::read_to_string(crashed.dir.join("data/postmaster.pid"))?;
    let pid = pid.lines().next().context("no process id")?;
    ensure!(
        Command::new("kill")
            .args(["-QUIT", pid])
            .status()?
            .success()
    );
    eventually("the server is gone", || !support::listens(crashed.port))?;

    let replaced = registry.acquire(&binaries)?;

    assert_ne!(replaced.dir, crashed.dir);
    assert!(!crashed.dir.exists());
    child.kill()?;
    child.wait()?;
    eventually("the watchdog deletes it", || !replaced.dir.exists())
}

//! What the harness's own tests share.
#![allow(dead_code)]

use std::{
    io::{self, Write},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tenancy_tests::Binaries;

/// Whether the default server is not a throw-away cluster.
pub(crate) fn is_external() -> bool {
    std::env::var_os("DATABASE_URL").is_some_and(|url| !url.is_empty())
}

/// Binaries to make clusters from; none only where somebody runs the tests against a server.
pub(crate) fn binaries() -> Result<Option<Binaries>> {
    match Binaries::installed() {
        Err(error) if error.is_unavailable() && is_external() => {
            // Past the test runner, which hides what passing tests print.
            let _ = writeln!(io::stderr(), "SKIPPED: {error}");
            Ok(None)
        }
        other => Ok(other.map(Some)?),
    }
}

pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Waits until something that happens by itself has happened.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        ensure!(Instant::now() < deadline, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

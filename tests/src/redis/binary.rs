//! Which Redis this machine has.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use crate::postgres::{Error, fetched, variable};

fn runs(program: &PathBuf) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// `TENANCY_VALKEY_SERVER`, else `valkey-server` on the path, else what `scripts/valkey` fetched.
pub(super) fn find_valkey() -> Result<PathBuf, Error> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let ours = fetched("valkey")?.join("server/valkey-server");
    let found = FOUND.get_or_init(|| {
        let told = variable("TENANCY_VALKEY_SERVER");
        let known = [PathBuf::from("valkey-server"), ours];
        told.into_iter().chain(known).find(runs)
    });
    found.clone().ok_or_else(|| Error::Unavailable {
        what: "a Valkey server".into(),
        mend: "run `scripts/valkey`, or set TENANCY_VALKEY_SERVER".into(),
    })
}

/// `TENANCY_REDIS_SERVER`, else `redis-server`, else `valkey-server` on the path.
pub(super) fn find() -> Result<PathBuf, Error> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let told = variable("TENANCY_REDIS_SERVER");
        let known = ["redis-server", "valkey-server"].map(PathBuf::from);
        told.into_iter().chain(known).find(runs)
    });
    found.clone().ok_or_else(|| Error::Unavailable {
        what: "a Redis server".into(),
        mend: "run `scripts/redis`, or set TENANCY_REDIS_SERVER".into(),
    })
}

//! Everything the library logs, at whatever level, on whatever thread a server runs.

use tenancy_tests::logwatch;

/// What has been logged by now, by every test of this binary.
pub(crate) fn logged() -> String {
    let lines = logwatch::ours_since(0).into_iter();
    lines.map(|line| format!("{line}\n")).collect()
}

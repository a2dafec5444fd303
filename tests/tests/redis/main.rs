//! Redis: what processes have in common, while servers end, fall silent, come back empty and answer nonsense.

mod client;

use std::time::Duration;

use tenancy_tests::patient_client as patient;

/// How long a test waits for what has to come.
const LONG: Duration = Duration::from_secs(60);

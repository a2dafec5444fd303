//! A mark that each session is started with, by which its connection knows it again.

use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

/// The setting that keeps it.
const SETTING: &str = "tenancy.connection";

/// Unique to a connection. Any SQL can change the setting: it tells whether a pooler has come to stand
/// between since the start, which starts sessions of its own, and nothing else rests on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(Uuid);

impl Mark {
    pub(super) fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The options of a connection whose session is started with it.
    pub(super) fn on(self, options: PgConnectOptions) -> PgConnectOptions {
        options.options([(SETTING, self.0.simple())])
    }

    /// A column that says whether a session was started with it.
    pub(crate) fn sql(self) -> String {
        format!(
            "pg_catalog.current_setting('{SETTING}', true) IS NOT DISTINCT FROM '{}'",
            self.0.simple()
        )
    }
}

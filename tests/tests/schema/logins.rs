//! Roles for one test: they belong to the whole server, so that each has a name of its own and is
//! removed afterwards.

use sqlx::postgres::PgConnectOptions;
use tenancy_tests::notes::{Notes, PASSWORD};

/// A login that the test makes and removes.
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) options: PgConnectOptions,
}

impl Login {
    /// Makes a login; the statements after it say `{}` for its name.
    pub(crate) async fn make(notes: &Notes, attributes: &str, then: &str) -> anyhow::Result<Self> {
        let unique = uuid::Uuid::now_v7().simple().to_string();
        let name = format!("login_{unique}");
        let make = format!(
            "CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {attributes}; {}",
            then.replace("{}", &name)
        );
        notes.as_admin(&make).await?;
        let options = notes.database.options_as(&name, Some(PASSWORD));
        Ok(Self { name, options })
    }

    pub(crate) async fn remove(self, notes: &Notes) -> anyhow::Result<()> {
        let name = self.name;
        notes
            .as_admin(&format!("DROP OWNED BY {name} CASCADE; DROP ROLE {name}"))
            .await
    }
}

//! One check of the schema, for the installer and for CI.

use std::fmt;

use sqlx::PgConnection;

use super::{Finding, FindingLevel, findings};

/// What [`check`] takes for an error.
///
/// ```no_run
/// use sqlx::{Connection as _, PgConnection};
/// use tenancy_sqlx::schema::{self, CheckMode};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = PgConnection::connect(&std::env::var("DATABASE_URL")?).await?;
/// for warning in schema::check(&mut connection, CheckMode::Lenient).await? {
///     eprintln!("{}: {warning}", warning.level());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckMode {
    /// What a pool of the service would refuse to start for: [`FindingLevel::Error`].
    Lenient,
    /// Each finding, for CI.
    Strict,
}

/// A schema that did not pass [`check`].
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// What is wrong, errors first, each with its mend.
    #[error("the schema did not pass the check:{}", Listed(.0))]
    Found(Vec<Finding>),
    /// The database did not answer.
    #[error("the schema could not be checked: {0}")]
    Database(#[from] crate::Error),
}

/// The same as `Display`, for a test or a `main` that returns it.
impl fmt::Debug for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A line for each finding.
struct Listed<'f>(&'f [Finding]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.0 {
            write!(f, "\n  {}: {finding}", finding.level())?;
        }
        Ok(())
    }
}

/// Checks the schema as `SELECT * FROM tenancy.check()` does: all [`findings`](super::findings()) of the app
/// role and of relations, the [warnings](super::code_warnings) in functions, and what was forgotten.
///
/// Returns the findings that the mode lets pass. [`Installer`](super::Installer) asks the same after the
/// application's migrations.
///
/// | code | level | what |
/// |---|---|---|
/// | `undecided-table` | warning | a table is neither protected nor shared; a comment on it that contains `[tenancy: not for tenants]` says that it is meant |
/// | `open-table` | warning | every tenant may write a table that is nobody's; the same comment says that it is meant |
/// | `sequence-closed` | warning | a default draws from a sequence that the service may not use |
/// | `schema-closed` | warning | the service, the operators or the owner role may not use the schema of its tables |
/// | `account-secrets` | warning | tenants may read columns such as `password_hash` of their members' accounts |
///
/// A comment on a function that contains `[tenancy: checked]` takes it out of the warnings in functions.
///
/// Takes a connection of the owner role, of the app role or of an administrator. In CI, after the migrations:
///
/// ```no_run
/// # async fn example(connection: &mut sqlx::PgConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use tenancy_sqlx::schema::{self, CheckMode};
///
/// schema::check(connection, CheckMode::Strict).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A [`CheckError`] with everything that was found, or with what the database says.
pub async fn check(
    connection: &mut PgConnection,
    mode: CheckMode,
) -> Result<Vec<Finding>, CheckError> {
    let found = findings::read_check(connection)
        .await
        .map_err(crate::Error::from)?;
    let fails =
        |finding: &Finding| mode == CheckMode::Strict || finding.level() == FindingLevel::Error;
    if found.iter().any(fails) {
        return Err(CheckError::Found(found));
    }
    Ok(found)
}

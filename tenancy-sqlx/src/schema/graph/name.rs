//! Names of what is in the catalog.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bulk::quoted;

/// A schema and a name in it, as the catalog has them: without quotes, in capitals where they are.
///
/// ```
/// use tenancy_sqlx::schema::CatalogName;
///
/// let name = CatalogName::new("public", "Notes");
/// assert_eq!(name.to_string(), r#""public"."Notes""#);
/// assert_eq!(name.plain(), "public.Notes");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CatalogName {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
}

impl CatalogName {
    /// The name of something in a schema.
    #[must_use]
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            name: name.into(),
        }
    }

    /// Schema and name with a dot between them, for people and not for SQL: a name may have a dot itself.
    #[must_use]
    pub fn plain(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// As SQL takes it, quoted in any case.
impl fmt::Display for CatalogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// A column of a table; in [`Sequence`](super::Sequence).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnName {
    /// The table.
    pub table: CatalogName,
    /// The column.
    pub column: String,
}

/// A constraint of a table; in [`View::keys`](super::View::keys).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyName {
    /// The table.
    pub table: CatalogName,
    /// The constraint.
    pub constraint: String,
}

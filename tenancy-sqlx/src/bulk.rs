//! Bulk inserts: `COPY … FROM` is refused under row security, arrays are not.

use std::{fmt, fmt::Write as _};

use sqlx::{
    Arguments as _, AssertSqlSafe, Encode, Postgres, Type, TypeInfo as _,
    postgres::{PgArguments, PgHasArrayType},
};

use crate::{Error, ErrorKind, TenantTx};

/// Inserts many rows in one statement, one array per column.
///
/// The tenant's column is filled by its default and is not named here.
///
/// ```no_run
/// # use tenancy_sqlx::{BulkInsert, TenantTx};
/// # async fn example(tx: &mut TenantTx) -> Result<(), tenancy_sqlx::Error> {
/// let bodies = vec!["one".to_owned(), "two".to_owned()];
/// let stars = vec![5_i32, 3];
/// let inserted = BulkInsert::into_table("notes")
///     .column("body", bodies)
///     .column("stars", stars)
///     .execute(tx)
///     .await?;
/// assert_eq!(inserted, 2);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct BulkInsert {
    table: String,
    columns: Vec<(String, String, usize)>,
    arguments: PgArguments,
    failed: Option<String>,
}

impl BulkInsert {
    /// Inserts into a table, named as in SQL without quotes: `notes` or `app.notes`.
    pub fn into_table(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            columns: Vec::new(),
            arguments: PgArguments::default(),
            failed: None,
        }
    }

    /// Adds a column with a value for each row.
    pub fn column<T>(mut self, name: &str, values: Vec<T>) -> Self
    where
        T: Type<Postgres> + PgHasArrayType + Send + 'static,
        Vec<T>: for<'q> Encode<'q, Postgres> + Type<Postgres>,
    {
        let array = <Vec<T> as Type<Postgres>>::type_info();
        self.columns
            .push((name.to_owned(), array.name().to_owned(), values.len()));
        if let Err(error) = self.arguments.add(values) {
            self.failed = Some(format!("the column `{name}` can't be encoded: {error}"));
        }
        self
    }

    /// Inserts the rows and returns how many there were.
    ///
    /// # Errors
    /// [`ErrorKind::BulkShape`] if the columns differ in length or there are none, or what the
    /// database says; then no row was inserted.
    pub async fn execute(self, tx: &mut TenantTx) -> Result<u64, Error> {
        let bad = |detail| Err(Error::with_detail(ErrorKind::BulkShape, detail));
        if let Some(failed) = self.failed {
            return bad(failed);
        }
        let Some((first, _, rows)) = self.columns.first() else {
            return bad("there are no columns".to_owned());
        };
        if let Some((other, _, length)) = self.columns.iter().find(|(_, _, n)| n != rows) {
            return bad(format!(
                "`{first}` has {rows} values and `{other}` has {length}"
            ));
        }
        let sql = self.sql();
        let done = sqlx::query_with(AssertSqlSafe(sql), self.arguments)
            .execute(&mut **tx)
            .await?;
        Ok(done.rows_affected())
    }

    /// # Security
    /// Names are quoted; types come from the driver.
    fn sql(&self) -> String {
        let table: Vec<_> = self.table.split('.').map(quoted).collect();
        let names: Vec<_> = self
            .columns
            .iter()
            .map(|(name, _, _)| quoted(name))
            .collect();
        let mut sql = format!(
            "INSERT INTO {} ({}) SELECT * FROM unnest(",
            table.join("."),
            names.join(", ")
        );
        for (index, (_, array, _)) in self.columns.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(sql, "{comma}${}::{array}", index + 1);
        }
        sql.push(')');
        sql
    }
}

/// An identifier in SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl fmt::Debug for BulkInsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkInsert")
            .field("table", &self.table)
            .field("columns", &self.columns.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_not_leave_their_quotes() {
        let insert = BulkInsert::into_table("app.no\"tes")
            .column("body\"; DROP", vec![String::new()])
            .column("stars", vec![1_i64]);
        assert_eq!(
            insert.sql(),
            "INSERT INTO \"app\".\"no\"\"tes\" (\"body\"\"; DROP\", \"stars\") \
             SELECT * FROM unnest($1::TEXT[], $2::INT8[])"
        );
    }
}

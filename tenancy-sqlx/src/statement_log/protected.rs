//! The names of protected tables, by which a statement outside of a tenant is known to touch one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sqlx::PgConnection;

/// Tables that have a guard, and views that show their rows.
const QUERY: &str = "
    WITH RECURSIVE guarded AS (
        SELECT p.polrelid AS relation FROM pg_catalog.pg_policy AS p WHERE p.polname = 'tenancy_guard'
        UNION
        SELECT r.ev_class FROM guarded AS g
        JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND d.refobjid = g.relation AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
    )
    SELECT n.nspname::text, c.relname::text FROM guarded AS g
    JOIN pg_catalog.pg_class AS c ON c.oid = g.relation
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace";

/// Where the library's own tables are. No search path has it, so that they are named with it.
const OWN: &str = "tenancy";

/// The protected tables of a database, as the catalog had them.
#[derive(Debug, Default)]
pub(super) struct Protected {
    /// By the name of the table: its schema, and both together.
    tables: HashMap<Box<str>, BTreeMap<Box<str>, Arc<str>>>,
    /// Whether the database has been asked.
    is_known: bool,
    version: u64,
}

impl Protected {
    pub(super) fn of<'n>(tables: impl IntoIterator<Item = (&'n str, &'n str)>) -> Self {
        let mut of = HashMap::<Box<str>, BTreeMap<_, _>>::new();
        for (schema, name) in tables {
            let whole = Arc::from(format!("{schema}.{name}"));
            of.entry(name.into())
                .or_default()
                .insert(schema.into(), whole);
        }
        Self {
            tables: of,
            is_known: true,
            version: 0,
        }
    }

    /// Asks the catalog. Each login may.
    pub(super) async fn read(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let rows: Vec<(String, String)> = sqlx::query_as(QUERY)
            .persistent(false)
            .fetch_all(connection)
            .await?;
        let names = rows.iter().map(|(schema, name)| (&**schema, &**name));
        Ok(Self::of(names))
    }

    /// The same, as what takes the place of another.
    pub(super) fn after(mut self, before: &Self) -> Self {
        let is_same = before.is_known && before.tables == self.tables;
        self.version = if is_same {
            before.version
        } else {
            before.version + 1
        };
        self
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) const fn is_known(&self) -> bool {
        self.is_known
    }

    /// The tables that a name may mean, with a schema before it or not; both as they are written.
    pub(super) fn named(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> impl Iterator<Item = &Arc<str>> {
        let schema = schema.map(as_stored);
        let tables = self.tables.get(as_stored(name).as_str());
        let tables = tables.into_iter().flatten();
        tables
            .filter(move |(of, _)| match &schema {
                Some(schema) => ***of == **schema,
                None => ***of != *OWN,
            })
            .map(|(_, whole)| whole)
    }
}

/// A name as the catalog has it.
fn as_stored(name: &str) -> String {
    let within = name.strip_prefix('"').and_then(|n| n.strip_suffix('"'));
    match within {
        Some(within) => within.replace("\"\"", "\""),
        None => name.to_ascii_lowercase(),
    }
}

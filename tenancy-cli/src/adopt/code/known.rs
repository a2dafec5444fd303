//! What the plan says of tables and keys; without one, nothing.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    adopt::decision::{Decisions, Holds, Rows},
    failure::Failure,
};

/// The column that each table of a tenant gets.
pub(super) const TENANT: &str = "tenant_id";

/// Parts of names of columns by which rows are found before their tenant is known.
const FOUND_BY: [&str; 18] = [
    "api",
    "code",
    "digest",
    "domain",
    "email",
    "fingerprint",
    "handle",
    "hash",
    "host",
    "key",
    "login",
    "phone",
    "secret",
    "session",
    "slug",
    "token",
    "url",
    "username",
];

/// What is known of an application's tables.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Each table by its name, without the schema; `None` if there is no plan.
    tables: Option<BTreeMap<String, Table>>,
}

/// What is known of a table.
#[derive(Debug, Default)]
struct Table {
    is_a_tenants: bool,
    /// Its unique keys by the names of their indexes, and whether they become a tenant's.
    keys: Vec<(String, bool)>,
}

impl Known {
    /// Without a plan.
    pub(super) fn nothing() -> Self {
        Self::default()
    }

    /// What a plan says.
    ///
    /// # Errors
    /// That the file can't be read, or is no plan.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let named =
            |error: &dyn std::fmt::Display| Failure::Told(format!("{}: {error}", file.display()));
        let text = fs::read_to_string(file).map_err(|error| named(&error))?;
        let plan: Decisions = serde_json::from_str(&text).map_err(|error| {
            named(&format!(
                "it is no plan: {error}; write one by `tenancy adopt plan --out`"
            ))
        })?;
        Ok(Self::of(plan))
    }

    fn of(plan: Decisions) -> Self {
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        for one in plan.tables {
            // Sources seldom name the schema. Of two tables of one name the one with tenants counts.
            let table = tables.entry(one.table.name.to_lowercase()).or_default();
            table.is_a_tenants |= matches!(one.rows, Rows::Tenant { .. });
            let keys = one.keys.into_iter();
            table
                .keys
                .extend(keys.map(|key| (key.index.to_lowercase(), key.holds == Holds::Tenant)));
        }
        Self {
            tables: Some(tables),
        }
    }

    /// Whether rows of a table are a tenant's. Without a plan, and for a table that it does not know, they may be.
    pub(super) fn is_a_tenants(&self, table: &str) -> bool {
        let Some(tables) = &self.tables else {
            return true;
        };
        tables.get(table).is_none_or(|table| table.is_a_tenants)
    }

    /// Whether a key of these columns becomes a tenant's. The plan has the names of indexes: where no name says of which
    /// columns one is, it may be this one.
    pub(super) fn becomes_a_tenants(&self, table: &str, columns: &[String]) -> bool {
        if !self.is_a_tenants(table) {
            return false;
        }
        let found = self.tables.as_ref().and_then(|tables| tables.get(table));
        let Some(found) = found.filter(|found| !found.keys.is_empty()) else {
            return true;
        };
        let joined = columns.join("_");
        let named = |name: &str| {
            let name = name.strip_prefix(table).unwrap_or(name);
            name.trim_matches('_')
                .trim_end_matches("_key")
                .trim_end_matches("_idx")
                == joined
        };
        match found.keys.iter().find(|(name, _)| named(name)) {
            Some((_, becomes)) => *becomes,
            None => found.keys.iter().any(|(_, becomes)| *becomes),
        }
    }

    /// Whether rows of a table are found by this column before their tenant is known, by a key that becomes a tenant's. Only
    /// a plan says it.
    pub(super) fn is_looked_up(&self, table: &str, column: &str) -> bool {
        let found = self.tables.as_ref().and_then(|tables| tables.get(table));
        let Some(found) = found.filter(|found| found.is_a_tenants) else {
            return false;
        };
        let by_name = column.split('_').any(|part| FOUND_BY.contains(&part));
        by_name
            && found.keys.iter().any(|(index, becomes)| {
                *becomes && format!("_{index}_").contains(&format!("_{column}_"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"{"version": 1, "schema": "", "tenants": {"kind": "root", "table": {"schema": "public",
        "name": "orgs"}, "key": "id", "label": null}, "tables": [
        {"table": {"schema": "public", "name": "users"}, "definition": "",
            "rows": {"kind": "tenant", "source": {"kind": "one"}}, "keys": [
            {"index": "users_email_key", "holds": "tenant"}, {"index": "users_token_key", "holds": "everywhere"}]},
        {"table": {"schema": "public", "name": "countries"}, "definition": "",
            "rows": {"kind": "shared"}}]}"#;

    #[test]
    fn a_plan_says_which_keys_become_a_tenants() -> Result<(), serde_json::Error> {
        let known = Known::of(serde_json::from_str(PLAN)?);
        let becomes = |table, columns: &[&str]| {
            let columns: Vec<_> = columns.iter().map(|one| (*one).to_owned()).collect();
            known.becomes_a_tenants(table, &columns)
        };
        assert!(becomes("users", &["email"]));
        assert!(!becomes("users", &["token"]));
        assert!(
            becomes("users", &["name"]),
            "no name says of which columns the keys are"
        );
        assert!(!becomes("countries", &["code"]));
        assert!(becomes("elsewhere", &["id"]), "the plan does not know it");
        assert!(known.is_looked_up("users", "email"));
        assert!(!known.is_looked_up("users", "token") && !known.is_looked_up("users", "name"));
        Ok(())
    }
}

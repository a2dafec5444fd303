//! Digests of definitions, by which a decision about tables is known to be about the same ones.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::{CatalogName, Table, TableGraph};

impl Table {
    /// SHA-256 of its definition, in hexadecimal: kind, columns, keys, references, checks and inheritance.
    ///
    /// Not in it: rows, owners, privileges, comments, triggers, policies, and the partitions of a table, which come and go.
    /// The order of columns counts.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |parts: &[&str]| {
            // With its length, so that no two lists are the same text.
            hash.update(u64::try_from(parts.len()).unwrap_or(u64::MAX).to_be_bytes());
            for part in parts {
                hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(part.as_bytes());
            }
        };
        let flag = |is: bool| if is { "yes" } else { "no" };
        let kind = format!("{:?}", self.kind);
        let of_type = self.of_type.as_deref().unwrap_or_default();
        add(&["table", &self.name.schema, &self.name.name, &kind, of_type]);
        for above in self.partition_of.iter().chain(&self.inherits) {
            add(&["above", &above.schema, &above.name]);
        }
        for column in &self.columns {
            let identity = column.identity.map(|identity| format!("{identity:?}"));
            add(&[
                "column",
                &column.name,
                &column.type_name,
                flag(column.not_null),
                column.default.as_deref().unwrap_or_default(),
                column.generated.as_deref().unwrap_or_default(),
                identity.as_deref().unwrap_or_default(),
            ]);
        }
        for key in &self.keys {
            let constraint = key.constraint.as_deref().unwrap_or_default();
            add(&[
                "key",
                &key.index,
                constraint,
                flag(key.primary),
                flag(key.deferrable),
                flag(key.valid),
                &key.definition,
            ]);
        }
        for reference in &self.references {
            let holds = flag(reference.holds());
            add(&["reference", &reference.name, holds, &reference.definition]);
        }
        for constraint in self.checks.iter().chain(&self.exclusions) {
            add(&["constraint", &constraint.name, &constraint.definition]);
        }
        for rule in &self.rules {
            add(&["rule", rule]);
        }
        hexadecimal(&hash.finalize())
    }
}

impl TableGraph {
    /// SHA-256 of the definitions of these tables, in hexadecimal, in whichever order they are named. One that there is not
    /// counts as such.
    #[must_use]
    pub fn digest<'n>(&self, tables: impl IntoIterator<Item = &'n CatalogName>) -> String {
        let mut names: Vec<_> = tables.into_iter().collect();
        names.sort();
        names.dedup();
        let mut hash = Sha256::new();
        for name in names {
            let of = self
                .table(name)
                .map_or_else(|| format!("no table {name}"), Table::digest);
            hash.update(of.as_bytes());
            hash.update(b"\n");
        }
        hexadecimal(&hash.finalize())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

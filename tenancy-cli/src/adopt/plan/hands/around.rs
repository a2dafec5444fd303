//! What stands around tenants' tables and does not know of tenants.

use std::collections::{BTreeMap, BTreeSet};

use tenancy_sqlx::schema::{CatalogName, KeyName, Table};

use super::Hand;
use crate::adopt::plan::{
    lines::{identifier, toml},
    sketch::Sketch,
};

/// Views and materialized views that read tenants' rows, also through other views.
pub(super) fn views(sketch: &Sketch<'_>, everywhere: &[CatalogName], hands: &mut Vec<Hand>) {
    let graph = sketch.graph;
    let mut reading = BTreeSet::new();
    loop {
        let reads = |name: &CatalogName| sketch.is_tenant(name) || reading.contains(name);
        let more: Vec<_> = (graph.views.iter())
            .filter(|view| !reading.contains(&view.name) && view.reads.iter().any(reads))
            .map(|view| view.name.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        reading.extend(more);
    }
    for view in graph
        .views
        .iter()
        .filter(|view| reading.contains(&view.name))
    {
        let name = &view.name;
        if view.materialized {
            hands.push(Hand {
                code: "materialized-view",
                object: name.plain(),
                text: "it holds rows of all tenants, and row security can't guard it".to_owned(),
                mend: format!(
                    "put a view or a protected table in its place, or close it: REVOKE ALL ON {name} FROM PUBLIC"
                ),
                first: false,
            });
        } else if !view.security_invoker {
            hands.push(Hand {
                code: "view",
                object: name.plain(),
                text: "it reads tenants' rows as its owner".to_owned(),
                mend: format!("ALTER VIEW {name} SET (security_invoker = true)"),
                first: false,
            });
        }
        let changes = |key: &&KeyName| {
            let name = CatalogName::new(&key.table.schema, &key.constraint);
            sketch.is_tenant(&key.table) && !everywhere.contains(&name)
        };
        for key in view.keys.iter().filter(changes) {
            hands.push(Hand {
                code: "view-by-key",
                object: name.plain(),
                text: format!(
                    "it groups by the key {} of {}, which will begin with the tenant",
                    key.constraint,
                    key.table.plain()
                ),
                mend: format!(
                    "let it group by each column that it selects; or keep the key, by {} = \"everywhere\" in [adopt.keys]",
                    toml(&format!("{}.{}", key.table.schema, key.constraint))
                ),
                first: true,
            });
        }
    }
}

/// Functions whose text or rights do not fit tenants' tables.
pub(super) fn functions(sketch: &Sketch<'_>, everywhere: &[CatalogName], hands: &mut Vec<Hand>) {
    let names: Vec<_> = (sketch.tables.values())
        .filter(|(_, verdict)| verdict.is_tenant())
        .map(|(table, _)| *table)
        .collect();
    let meant = |text: &str| names.iter().find(|table| is_meant(table, text)).copied();
    for function in &sketch.graph.functions {
        let mut add = |code, text: String, mend: String| {
            let object = function.signature.clone();
            hands.push(Hand {
                code,
                object,
                text,
                mend,
                first: false,
            });
        };
        if function.definer {
            let pins = match function.pins_search_path {
                true => "",
                false => " SET search_path = pg_catalog, pg_temp",
            };
            add(
                "definer-function",
                format!(
                    "it acts as {}, whom row security may not bind",
                    function.owner
                ),
                format!(
                    "ALTER FUNCTION {} SECURITY INVOKER; or OWNER TO tenancy_owner{pins}",
                    function.signature
                ),
            );
        }
        for target in &function.conflict_targets {
            let Some(table) = meant(&target.table) else {
                continue;
            };
            let columns: BTreeSet<_> = (target.columns.split(','))
                .map(|column| column.trim().trim_matches('"').to_lowercase())
                .collect();
            let stays = table.keys.iter().any(|key| {
                let own: BTreeSet<_> = key
                    .columns
                    .iter()
                    .flatten()
                    .map(|name| name.to_lowercase())
                    .collect();
                let name = CatalogName::new(&table.name.schema, &key.index);
                own == columns && everywhere.contains(&name)
            });
            if !stays && !columns.contains("tenant_id") {
                add(
                    "on-conflict",
                    format!(
                        "line {}: ON CONFLICT ({}) on {} will name no key: they begin with the tenant",
                        target.line,
                        target.columns,
                        table.name.plain()
                    ),
                    format!("ON CONFLICT (tenant_id, {})", target.columns),
                );
            }
        }
        for insert in &function.positional_inserts {
            if let Some(table) = meant(&insert.table) {
                add(
                    "positional-insert",
                    format!(
                        "line {}: INSERT INTO {} SELECT * goes by the position of columns",
                        insert.line,
                        table.name.plain()
                    ),
                    "name the columns".to_owned(),
                );
            }
        }
        if let Some(rows) = function
            .returns_rows_of
            .as_ref()
            .filter(|rows| sketch.is_tenant(rows))
            && function.lists_columns
        {
            add(
                "returns-row",
                format!(
                    "it returns rows of {} from a list of columns, which will lack tenant_id",
                    rows.plain()
                ),
                "select *, or add the column".to_owned(),
            );
        }
    }
}

/// Whether a name in the text of a function means a table.
fn is_meant(table: &Table, text: &str) -> bool {
    let text = text.replace('"', "").to_lowercase();
    let (schema, name) = text.rsplit_once('.').unwrap_or(("", &text));
    name == table.name.name.to_lowercase()
        && (schema.is_empty() || schema == table.name.schema.to_lowercase())
}

/// Publications that leave out the tenant's column.
pub(super) fn publications(sketch: &Sketch<'_>, hands: &mut Vec<Hand>) {
    for publication in &sketch.graph.publications {
        for published in &publication.tables {
            let Some(columns) = published
                .columns
                .as_ref()
                .filter(|_| sketch.is_tenant(&published.table))
            else {
                continue;
            };
            let columns: Vec<_> = columns.iter().map(|name| identifier(name)).collect();
            let (name, table) = (identifier(&publication.name), &published.table);
            hands.push(Hand {
                code: "publication-columns",
                object: format!("publication {}", publication.name),
                text: format!("it lists the columns of {} without tenant_id, which will be in its key", table.plain()),
                mend: format!(
                    "after the columns are there: ALTER PUBLICATION {name} DROP TABLE {table}; ALTER PUBLICATION {name} ADD \
                     TABLE {table} ({}, tenant_id)",
                    columns.join(", ")
                ),
                first: false,
            });
        }
    }
}

/// Sequences that columns draw from and do not own, which the service may not use.
pub(super) fn sequences(sketch: &Sketch<'_>, hands: &mut Vec<Hand>) {
    for sequence in &sketch.graph.sequences {
        let drawn = sequence
            .drawn_by
            .iter()
            .find(|by| sketch.is_tenant(&by.table));
        if let Some(by) = drawn.filter(|_| sequence.owned_by.is_none()) {
            hands.push(Hand {
                code: "sequence",
                object: sequence.name.plain(),
                text: format!(
                    "{} of {} draws from it and does not own it",
                    by.column,
                    by.table.plain()
                ),
                mend: format!(
                    "ALTER SEQUENCE {} OWNED BY {}.{}",
                    sequence.name,
                    by.table,
                    identifier(&by.column)
                ),
                first: false,
            });
        }
    }
}

/// Extensions whose types tenants' tables have.
pub(super) fn extensions(sketch: &Sketch<'_>, hands: &mut Vec<Hand>) {
    let mut used = BTreeMap::<&String, BTreeSet<String>>::new();
    for (table, verdict) in sketch.tables.values() {
        for column in table.columns.iter().filter(|_| verdict.is_tenant()) {
            if let Some(extension) = &column.type_extension {
                let of = used.entry(extension).or_default();
                of.insert(table.name.plain());
            }
        }
    }
    for (extension, tables) in used {
        let tables: Vec<_> = tables.into_iter().collect();
        hands.push(Hand {
            code: "extension-type",
            object: format!("extension {extension}"),
            text: format!("columns of {} are of its types", tables.join(", ")),
            mend: "see that the roles of the service may use its schema: GRANT USAGE ON SCHEMA … TO tenancy_owner, \
                   tenancy_app"
                .to_owned(),
            first: false,
        });
    }
}

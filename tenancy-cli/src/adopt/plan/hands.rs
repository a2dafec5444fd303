//! What the adoption does not do by itself, each with its mend.

mod around;

use tenancy_sqlx::schema::{CatalogName, Matching, Table, TableKind};

use super::{
    keys::is_tenant_column,
    sketch::{Sketch, Verdict, Who},
};

/// Something that needs a hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hand {
    /// What kind of thing it is, for programs.
    pub(super) code: &'static str,
    pub(super) object: String,
    pub(super) text: String,
    pub(super) mend: String,
    /// Whether the adoption can't be run before it is mended.
    pub(super) first: bool,
}

/// All that needs a hand, what comes first before the rest.
pub(super) fn hands(sketch: &Sketch<'_>, everywhere: &[CatalogName]) -> Vec<Hand> {
    let mut hands = Vec::new();
    server(sketch, &mut hands);
    for (table, verdict) in sketch.in_order() {
        if verdict.is_tenant() {
            of_table(sketch, table, verdict, &mut hands);
        } else {
            refers_to_tenants(sketch, table, verdict, &mut hands);
        }
        if table.kind == TableKind::Foreign {
            hands.push(Hand {
                code: "foreign-table",
                object: table.name.plain(),
                text: "row security exists for tables only: it stays closed to the service"
                    .to_owned(),
                mend: "move what tenants need into a table".to_owned(),
                first: false,
            });
        }
    }
    around::views(sketch, everywhere, &mut hands);
    around::functions(sketch, everywhere, &mut hands);
    around::publications(sketch, &mut hands);
    around::sequences(sketch, &mut hands);
    around::extensions(sketch, &mut hands);
    hands.sort_by_key(|hand| !hand.first);
    hands
}

fn server(sketch: &Sketch<'_>, hands: &mut Vec<Hand>) {
    let version = sketch.graph.server_version;
    if version < 150_000 {
        hands.push(Hand {
            code: "server",
            object: format!("PostgreSQL {}", version / 10_000),
            text: "views can't read as whoever asks before PostgreSQL 15".to_owned(),
            mend: "upgrade the server to PostgreSQL 15 or later".to_owned(),
            first: true,
        });
    }
}

fn of_table(sketch: &Sketch<'_>, table: &Table, verdict: &Verdict, hands: &mut Vec<Hand>) {
    let name = &table.name;
    let mut add = |code, text: String, mend: String, first| {
        let object = name.plain();
        hands.push(Hand {
            code,
            object,
            text,
            mend,
            first,
        });
    };
    if let Some(column) = table.column("tenant_id") {
        let is_it = column.type_name == "uuid" && is_tenant_column(verdict);
        if !is_it {
            add(
                "tenant-column",
                format!(
                    "it has a column tenant_id of type {}, where the tenant's own has to be",
                    column.type_name
                ),
                format!("ALTER TABLE {name} RENAME COLUMN tenant_id TO former_tenant_id"),
                true,
            );
        }
    }
    if !table.may_alter {
        add(
            "other-owner",
            format!(
                "it belongs to {}, whose rights this login does not have",
                table.owner
            ),
            format!(
                "connect as a superuser or as a member of {}",
                super::lines::identifier(&table.owner)
            ),
            true,
        );
    }
    if table.of_type.is_some() {
        let mend = format!("ALTER TABLE {name} NOT OF");
        add(
            "typed-table",
            "it is a table of a type, and takes no other column".to_owned(),
            mend,
            true,
        );
    }
    for child in sketch.graph.children(name).filter(|child| child.detaching) {
        let text = format!(
            "its partition {} is about to be detached",
            child.name.plain()
        );
        let mend = format!(
            "ALTER TABLE {name} DETACH PARTITION {} FINALIZE",
            child.name
        );
        add("detaching", text, mend, true);
    }
    for constraint in &table.exclusions {
        add(
            "exclusion",
            format!("its exclusion constraint {} spans tenants", constraint.name),
            format!(
                "ALTER TABLE {name} DROP CONSTRAINT {}; and make it anew after the adoption, with tenant_id WITH = in it",
                super::lines::identifier(&constraint.name)
            ),
            true,
        );
    }
    for key in table.keys.iter().filter(|key| !key.valid) {
        let index = CatalogName::new(&name.schema, &key.index);
        let text = format!(
            "its unique index {} is invalid: a build of it has failed",
            key.index
        );
        add(
            "invalid-index",
            text,
            format!("DROP INDEX CONCURRENTLY {index}, or REINDEX INDEX CONCURRENTLY {index}"),
            true,
        );
    }
    if table.unlogged {
        let text = "it is unlogged: a crash empties it".to_owned();
        add(
            "unlogged",
            text,
            format!("ALTER TABLE {name} SET LOGGED, if its rows matter"),
            false,
        );
    }
    for rule in &table.rules {
        let text = format!("its rule {rule} rewrites statements, and knows no tenant");
        let mend = format!(
            "put a trigger in its place: DROP RULE {} ON {name}",
            super::lines::identifier(rule)
        );
        add("rule", text, mend, false);
    }
    for policy in &table.policies {
        let text = format!("its policy {} stays, beside those of tenants", policy.name);
        let mend = format!(
            "if it told customers apart: DROP POLICY {} ON {name}",
            super::lines::identifier(&policy.name)
        );
        add("policy", text, mend, false);
    }
    for reference in table
        .references
        .iter()
        .filter(|to| sketch.is_tenant(&to.to))
    {
        let key = super::lines::identifier(&reference.name);
        let drop = format!("ALTER TABLE {name} DROP CONSTRAINT {key}");
        if matches!(&sketch.who, Who::Root { table, .. } if *table == *name && *table == reference.to)
        {
            let text = format!(
                "its foreign key {} leads from one tenant to another, and a row may refer to its own tenant's alone",
                reference.name
            );
            add(
                "root-to-root",
                text,
                format!("{drop}; tenants that belong together are named without a foreign key"),
                true,
            );
            continue;
        }
        if ["n", "d"].contains(&reference.on_update.as_str()) {
            let text = format!(
                "its foreign key {} would clear the tenant by ON UPDATE SET",
                reference.name
            );
            add(
                "on-update-set",
                text,
                format!("{drop}; and make it anew with another action ON UPDATE"),
                true,
            );
        }
        if !reference.validated && reference.enforced {
            let text = format!("its foreign key {} was not validated", reference.name);
            add(
                "not-valid",
                text,
                format!("ALTER TABLE {name} VALIDATE CONSTRAINT {key}"),
                false,
            );
        }
        if reference.matching == Matching::Full && reference.columns.len() > 1 {
            let text = format!(
                "its foreign key {} is MATCH FULL; with the tenant it becomes MATCH SIMPLE, and a CHECK says the rest",
                reference.name
            );
            add(
                "match-full",
                text,
                "nothing, if the CHECK may have a name that is made up".to_owned(),
                false,
            );
        }
    }
}

/// A table without a tenant can't refer to tenants' rows: their keys begin with the tenant.
fn refers_to_tenants(sketch: &Sketch<'_>, table: &Table, verdict: &Verdict, hands: &mut Vec<Hand>) {
    let is = match verdict {
        Verdict::Shared => "shared",
        Verdict::Closed { .. } => "closed",
        _ => return,
    };
    for reference in table
        .references
        .iter()
        .filter(|to| sketch.is_tenant(&to.to))
    {
        let key = super::lines::identifier(&reference.name);
        hands.push(Hand {
            code: "refers-to-tenants",
            object: table.name.plain(),
            text: format!(
                "it is {is}, and its foreign key {} refers to tenants' rows of {}",
                reference.name,
                reference.to.plain()
            ),
            mend: format!(
                "let it get its tenant from there: take it out of `{is}`; or ALTER TABLE {} DROP CONSTRAINT {key}",
                table.name
            ),
            first: true,
        });
    }
}

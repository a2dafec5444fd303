//! What the adoption does not do by itself, each with its mend.

mod around;

use tenancy_sqlx::schema::{CatalogName, Matching, Table, TableKind};

use super::{
    draft::ACROSS_TENANTS,
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
    pub(super) when: When,
}

/// When something has to be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    /// Before the run, which refuses it otherwise: the plan is not complete before.
    First,
    /// Before the run adds a column. What is found in the text of functions may be a mistake, and is not waited for.
    BeforeRun,
    /// Before the cut-over.
    BeforeEnforcing,
    /// It may be left.
    Known,
}

impl When {
    pub(super) const ALL: [Self; 4] = [
        Self::First,
        Self::BeforeRun,
        Self::BeforeEnforcing,
        Self::Known,
    ];

    /// For programs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::BeforeRun => "before-run",
            Self::BeforeEnforcing => "before-enforcing",
            Self::Known => "known",
        }
    }

    /// For people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::First => "Needs a hand first: the plan is not complete before",
            Self::BeforeRun => "Needs a hand before `tenancy adopt run`",
            Self::BeforeEnforcing => {
                "Needs a hand before `tenancy adopt run --until report`, which is the cut-over"
            }
            Self::Known => "Good to know",
        }
    }
}

/// All that needs a hand, what comes first before the rest.
pub(super) fn hands(sketch: &Sketch<'_>, everywhere: &[CatalogName]) -> Vec<Hand> {
    let mut hands = Vec::new();
    server(sketch, &mut hands);
    for (table, verdict) in sketch.in_order() {
        if verdict.is_tenant() {
            if !matches!(verdict, Verdict::Protected { .. }) {
                of_table(sketch, table, &mut hands);
            }
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
                when: When::Known,
            });
        }
    }
    around::views(sketch, everywhere, &mut hands);
    around::functions(sketch, everywhere, &mut hands);
    around::publications(sketch, &mut hands);
    around::sequences(sketch, &mut hands);
    around::extensions(sketch, &mut hands);
    hands.sort_by_key(|hand| hand.when);
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
            when: When::First,
        });
    }
}

fn of_table(sketch: &Sketch<'_>, table: &Table, hands: &mut Vec<Hand>) {
    columns(sketch, table, hands);
    references(sketch, table, hands);
    let partitions = sketch.partitions.get(&table.name);
    for table in std::iter::once(&table).chain(partitions.into_iter().flatten()) {
        definition(table, hands);
        keys(table, hands);
    }
}

/// What its column `tenant_id`, its type and its partitions say.
fn columns(sketch: &Sketch<'_>, table: &Table, hands: &mut Vec<Hand>) {
    let name = &table.name;
    let mut add = |code, text: String, mend: String| {
        hands.push(Hand {
            code,
            object: name.plain(),
            text,
            mend,
            when: When::First,
        });
    };
    if let Some(column) = table.column("tenant_id")
        && !is_tenant_column(sketch, table)
    {
        add(
            "tenant-column",
            format!(
                "it has a column tenant_id of type {} that does not lead to the root, where the tenant's own has to be",
                column.type_name
            ),
            format!(
                "ALTER TABLE {name} RENAME COLUMN tenant_id TO former_tenant_id: this breaks the running application, so \
                     release one first that knows the new name"
            ),
        );
    }
    if table.of_type.is_some() {
        let mend = format!("ALTER TABLE {name} NOT OF");
        let text = "it is a table of a type, and takes no other column".to_owned();
        add("typed-table", text, mend);
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
        add("detaching", text, mend);
    }
}

/// What else is defined on a table or a partition.
fn definition(table: &Table, hands: &mut Vec<Hand>) {
    let name = &table.name;
    let mut add = |code, text: String, mend: String, when| {
        hands.push(Hand {
            code,
            object: name.plain(),
            text,
            mend,
            when,
        });
    };
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
            When::First,
        );
    }
    for constraint in &table.exclusions {
        add(
            "exclusion",
            format!("its exclusion constraint {} spans tenants", constraint.name),
            format!(
                "ALTER TABLE {name} DROP CONSTRAINT {}; and make it anew after the adoption, with tenant_id WITH = in it",
                super::lines::identifier(&constraint.name)
            ),
            When::First,
        );
    }
    if table.unlogged {
        let text = "it is unlogged: a crash empties it".to_owned();
        add(
            "unlogged",
            text,
            format!("ALTER TABLE {name} SET LOGGED, if its rows matter"),
            When::Known,
        );
    }
    for rule in &table.rules {
        let text = format!("its rule {rule} rewrites statements, and knows no tenant");
        let mend = format!(
            "put a trigger in its place: DROP RULE {} ON {name}",
            super::lines::identifier(rule)
        );
        add("rule", text, mend, When::BeforeEnforcing);
    }
    for policy in &table.policies {
        let text = format!(
            "its policy {} is the application's own, and the run takes no table with one",
            policy.name
        );
        let mend = format!(
            "if it told customers apart: DROP POLICY {} ON {name}",
            super::lines::identifier(&policy.name)
        );
        add("policy", text, mend, When::First);
    }
    if table.row_security && table.policies.is_empty() {
        let text = "row security is on, without a policy: only its owner sees rows".to_owned();
        let mend = format!("ALTER TABLE {name} DISABLE ROW LEVEL SECURITY");
        add("row-security", text, mend, When::First);
    }
    for trigger in table.triggers.iter().filter(|trigger| trigger.enabled) {
        let of = super::lines::identifier(&trigger.name);
        if trigger.replicated {
            let text = format!(
                "its trigger {} is ENABLE ALWAYS or REPLICA, and would run for each row that the backfill gives its tenant",
                trigger.name
            );
            let mend = format!("for the time of the run: ALTER TABLE {name} ENABLE TRIGGER {of}");
            add("replica-trigger", text, mend, When::First);
        } else if trigger.before_update {
            let text = format!(
                "its trigger {} runs before updates: not in the backfill, but when a row gets another tenant",
                trigger.name
            );
            let mend = "see that it changes nothing that an update of tenant_id alone should leave"
                .to_owned();
            add("update-trigger", text, mend, When::Known);
        }
    }
}

/// What is said of unique keys.
fn keys(table: &Table, hands: &mut Vec<Hand>) {
    let name = &table.name;
    for key in &table.keys {
        let index = CatalogName::new(&name.schema, &key.index);
        let mut add = |code, text: String, mend: String, when| {
            hands.push(Hand {
                code,
                object: name.plain(),
                text,
                mend,
                when,
            });
        };
        if !key.valid {
            add(
                "invalid-index",
                format!(
                    "its unique index {} is invalid: a build of it has failed",
                    key.index
                ),
                format!("DROP INDEX CONCURRENTLY {index}, or REINDEX INDEX CONCURRENTLY {index}"),
                When::First,
            );
        }
        if key.replica_identity {
            add(
                "replica-identity",
                format!(
                    "its replica identity is the index {}, which gets the tenant in front: subscribers need that column first",
                    key.index
                ),
                format!("for the time of the run: ALTER TABLE {name} REPLICA IDENTITY FULL"),
                When::BeforeRun,
            );
        }
        let stays = key.comment.as_ref();
        let stays = stays.is_some_and(|comment| comment.contains(ACROSS_TENANTS));
        if table.partition_of.is_some() && !key.inherited && !stays {
            add(
                "partition-key",
                format!(
                    "its unique index {} is this partition's alone, and becomes one of each tenant's",
                    key.index
                ),
                format!(
                    "if it has to hold across tenants: COMMENT ON INDEX {index} IS '{ACROSS_TENANTS}'"
                ),
                When::BeforeEnforcing,
            );
        }
    }
}

/// What is said of foreign keys between tenants' rows, those of partitions among them.
fn references(sketch: &Sketch<'_>, table: &Table, hands: &mut Vec<Hand>) {
    let partitions = sketch.partitions.get(&table.name);
    let tables = std::iter::once(&table).chain(partitions.into_iter().flatten());
    for table in tables {
        of_references(sketch, table, hands);
    }
}

fn of_references(sketch: &Sketch<'_>, table: &Table, hands: &mut Vec<Hand>) {
    let name = &table.name;
    let mut add = |code, text: String, mend: String, when| {
        hands.push(Hand {
            code,
            object: name.plain(),
            text,
            mend,
            when,
        });
    };
    for reference in table
        .references
        .iter()
        .filter(|to| sketch.is_tenant(sketch.graph.whole(&to.to)))
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
                When::First,
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
                When::First,
            );
        }
        if !reference.validated && reference.enforced {
            let text = format!("its foreign key {} was not validated", reference.name);
            add(
                "not-valid",
                text,
                format!("ALTER TABLE {name} VALIDATE CONSTRAINT {key}"),
                When::BeforeEnforcing,
            );
        }
        if reference.matching == Matching::Full && reference.columns.len() > 1 {
            let text = format!(
                "its foreign key {} is MATCH FULL, which the tenant's column would change",
                reference.name
            );
            let columns: Vec<_> = (reference.columns.iter())
                .map(|column| super::lines::identifier(column))
                .collect();
            add(
                "match-full",
                text,
                format!(
                    "{drop}; make it anew without MATCH FULL, and ADD CHECK (num_nulls({}) IN (0, {}))",
                    columns.join(", "),
                    columns.len()
                ),
                When::First,
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
    for reference in sketch.references(table) {
        let Some(named) =
            (reference.foreign_key.as_ref()).filter(|_| sketch.is_tenant(&reference.to))
        else {
            continue;
        };
        let key = super::lines::identifier(named);
        let of = (reference.between.as_ref()).map_or(&table.name, |(from, _)| from);
        hands.push(Hand {
            code: "refers-to-tenants",
            object: table.name.plain(),
            text: format!(
                "it is {is}, and its foreign key {} refers to tenants' rows of {}",
                named,
                reference.to.plain()
            ),
            mend: format!(
                "let it get its tenant from there: take it out of `{is}`; or ALTER TABLE {} DROP CONSTRAINT {key}",
                of
            ),
            when: When::First,
        });
    }
}

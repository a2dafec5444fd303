//! What a migration does that no longer works once keys have tenants and the owner sees no rows.

use std::collections::BTreeSet;

use super::{
    finding::{Finding, Kind},
    known::{Known, TENANT},
    statement::{Here, Text, columns, lines_of, of_file, statements, table, within, without_head},
    tokens::{Token, tokens},
};

/// What begins a statement that defines something and has words of others in it: `ON UPDATE`, `BEFORE DELETE ON`.
const DEFINES: [&str; 6] = ["create", "alter", "comment", "grant", "revoke", "drop"];

/// Words before `update` and `delete` that make them no statement: `FOR UPDATE`, `ON DELETE`, `DO UPDATE`.
const NO_STATEMENT: [&str; 9] = [
    "for", "on", "do", "key", "or", "of", "before", "after", "instead",
];

/// Looks at a file of a migration.
pub(super) fn look(sql: &str, known: &Known, found: &mut Vec<Finding>) {
    let line = lines_of(sql);
    let text = of_file(sql, &line, known);
    let tokens = tokens(sql);
    let statements = statements(&tokens);
    let file = File {
        created: created_of(&statements, "table"),
        views: created_of(&statements, "view"),
        drops: statements.iter().any(|one| drops(one)),
    };
    look_at(&text, &file, false, found);
}

/// What is known of a whole file.
struct File {
    /// The tables that it makes, which nobody has protected yet.
    created: BTreeSet<String>,
    /// The views that it makes, whose keys are nobody's to protect.
    views: BTreeSet<String>,
    /// Whether it drops a table or a column.
    drops: bool,
}

fn look_at(text: &Text<'_>, file: &File, is_body: bool, found: &mut Vec<Finding>) {
    for statement in statements(&tokens(text.sql)) {
        let mut here = Here {
            text,
            statement: if is_body {
                without_head(statement)
            } else {
                statement
            },
            found,
        };
        here.keys();
        here.across();
        here.references(file);
        here.unique_keys(file);
        here.rows(file);
        // A function runs when somebody calls it, and not as a part of the migration.
        let runs = statement.first().is_some_and(|first| first.is("do"));
        here.bodies(&mut |body, found| {
            if runs {
                look_at(body, file, true, found);
            } else {
                super::statement::look_at(body, found);
            }
        });
    }
}

fn created_of(statements: &[&[Token<'_>]], kind: &str) -> BTreeSet<String> {
    let created = statements.iter().filter_map(|one| created(one, kind));
    created.collect()
}

/// The table or the view that a statement makes.
fn created(statement: &[Token<'_>], kind: &str) -> Option<String> {
    const BETWEEN: [&str; 8] = [
        "or",
        "replace",
        "temp",
        "temporary",
        "unlogged",
        "local",
        "global",
        "materialized",
    ];
    let mut words = statement.iter().enumerate();
    words.next().filter(|(_, first)| first.is("create"))?;
    let (at, _) = words
        .find(|(_, token)| !token.is_one_of(&BETWEEN))
        .filter(|(_, token)| token.is(kind))?;
    table(statement, at + 1).map(|(name, _)| name)
}

/// Whether a statement drops a table or a column.
fn drops(statement: &[Token<'_>]) -> bool {
    let Some(first) = statement.first() else {
        return false;
    };
    if first.is("drop") {
        return statement.get(1).is_some_and(|next| next.is("table"));
    }
    let mut pairs = statement.windows(2);
    first.is("alter")
        && statement.get(1).is_some_and(|next| next.is("table"))
        && pairs.any(|pair| match pair {
            [drop, what] => {
                drop.is("drop")
                    && what.name().is_some()
                    && !what.is_one_of(&["constraint", "default", "not", "identity", "expression"])
            }
            _ => false,
        })
}

impl Here<'_, '_, '_> {
    /// Foreign keys to keys that have no tenant.
    fn references(&mut self, file: &File) {
        let tokens = self.statement;
        for (at, token) in tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| token.is("references"))
        {
            let Some((name, after)) = table(tokens, at + 1) else {
                continue;
            };
            let named = within(tokens, after).map(|(list, _)| columns(list));
            let has_tenant = named.is_some_and(|named| named.iter().any(|one| one == TENANT));
            if !has_tenant && !file.created.contains(&name) && self.text.known.is_a_tenants(&name) {
                self.tell(Kind::OldKey, token.at, name);
            }
        }
    }

    /// Unique keys without a tenant.
    fn unique_keys(&mut self, file: &File) {
        let tokens = self.statement;
        let Some(first) = tokens
            .first()
            .filter(|first| first.is_one_of(&["create", "alter"]))
        else {
            return;
        };
        let is_table = tokens
            .iter()
            .take(4)
            .find(|token| token.is_one_of(&["table", "index"]));
        let whose = match is_table {
            Some(token) if token.is("table") => {
                let at = tokens
                    .iter()
                    .position(|one| one.is("table"))
                    .unwrap_or_default();
                table(tokens, at + 1)
            }
            Some(_) => {
                let at = tokens
                    .iter()
                    .position(|one| one.is("on"))
                    .unwrap_or_default();
                table(tokens, at + 1)
            }
            None => None,
        };
        let of_tenants =
            |name: &str| !file.views.contains(name) && self.text.known.is_a_tenants(name);
        let Some((name, _)) = whose.filter(|(name, _)| of_tenants(name)) else {
            return;
        };
        let is_index = first.is("create") && tokens.get(1).is_some_and(|next| next.is("unique"));
        if is_index {
            let list = tokens.iter().position(|token| token.is_mark('('));
            let named = list
                .and_then(|at| within(tokens, at))
                .map(|(list, _)| columns(list));
            if !named.is_some_and(|named| named.iter().any(|one| one == TENANT)) {
                self.tell(Kind::UniqueKey, first.at, name);
            }
            return;
        }
        for (at, token) in tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| token.is("unique"))
        {
            let next = tokens.get(at + 1);
            if next.is_some_and(|next| next.is("using")) {
                continue;
            }
            let list = tokens
                .iter()
                .skip(at)
                .position(|one| one.is_mark('('))
                .map(|far| at + far);
            let list = list.filter(|list| *list <= at + 4);
            let named = list
                .and_then(|at| within(tokens, at))
                .map(|(list, _)| columns(list));
            if !named.is_some_and(|named| named.iter().any(|one| one == TENANT)) {
                self.tell(Kind::UniqueKey, token.at, name.clone());
            }
        }
    }

    /// Rows that the owner changes, or carries away before a DROP.
    fn rows(&mut self, file: &File) {
        let tokens = self.statement;
        let Some(first) = tokens.first() else { return };
        let kind = if file.drops {
            Kind::OwnerLoss
        } else {
            Kind::OwnerData
        };
        let is_tenants =
            |name: &str, known: &Known| !file.created.contains(name) && known.is_a_tenants(name);
        if first.is_one_of(&DEFINES) {
            // CREATE TABLE … AS SELECT … FROM t; DROP TABLE t.
            let selects = tokens.iter().position(|token| token.is("select"));
            if let (true, Some(_), Some(selects)) = (file.drops, created(tokens, "table"), selects)
            {
                let from = tokens
                    .iter()
                    .skip(selects)
                    .position(|token| token.is("from"));
                let from = from.and_then(|from| table(tokens, selects + from + 1));
                if let Some((name, _)) = from.filter(|(name, _)| is_tenants(name, self.text.known))
                {
                    self.tell(kind, first.at, name);
                }
            }
            return;
        }
        let mut before: Option<&Token<'_>> = None;
        for (at, token) in tokens.iter().enumerate() {
            let after_word = before.is_some_and(|before| before.is_one_of(&NO_STATEMENT));
            let next = |word| tokens.get(at + 1).is_some_and(|next| next.is(word));
            let begins = if after_word {
                None
            } else if token.is("update") {
                Some(at + 1)
            } else if (token.is("delete") && next("from")) || (token.is("insert") && next("into")) {
                Some(at + 2)
            } else {
                None
            };
            before = Some(token);
            let Some((name, _)) = begins.and_then(|begins| table(tokens, begins)) else {
                continue;
            };
            if is_tenants(&name, self.text.known) {
                self.tell(kind, token.at, name);
            } else if token.is("insert") && file.drops {
                // Into a new table, out of an old one that is dropped.
                let from = tokens.iter().skip(at).position(|token| token.is("from"));
                let from = from.and_then(|from| table(tokens, at + from + 1));
                if let Some((name, _)) = from.filter(|(name, _)| is_tenants(name, self.text.known))
                {
                    self.tell(kind, token.at, name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sql: &str) -> Vec<String> {
        let mut found = Vec::new();
        look(sql, &Known::nothing(), &mut found);
        let told = found
            .iter()
            .map(|one| format!("{} {} {}", one.line, one.kind.code(), one.what));
        told.collect()
    }

    #[test]
    fn each_kind_is_found_with_its_line() {
        for (sql, expected) in [
            (
                "CREATE TABLE kid (\n  p int REFERENCES app.par (id)\n)",
                "2 old-key par",
            ),
            (
                "ALTER TABLE kid ADD FOREIGN KEY (p) REFERENCES par",
                "1 old-key par",
            ),
            ("CREATE UNIQUE INDEX i ON t (a)", "1 key-across-tenants t"),
            (
                "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON app.t USING btree (lower(a))",
                "1 key-across-tenants t",
            ),
            (
                "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a, b)",
                "1 key-across-tenants t",
            ),
            (
                "CREATE TABLE t (\n  a text NOT NULL UNIQUE\n)",
                "2 key-across-tenants t",
            ),
            ("UPDATE t SET a = 1", "1 owner-data t"),
            (
                "ALTER TABLE t ADD n int;\nUPDATE t SET n = o;\nALTER TABLE t DROP COLUMN o",
                "2 owner-loss t",
            ),
            (
                "CREATE TABLE n AS SELECT * FROM t;\nDROP TABLE t",
                "1 owner-loss t",
            ),
            (
                "CREATE TABLE n (a int);\nINSERT INTO n (a) SELECT a FROM t;\nDROP TABLE t",
                "2 owner-loss t",
            ),
            (
                "DO $$\nBEGIN\n  IF true THEN\n    DELETE FROM t WHERE a = 1;\n  END IF;\nEND $$",
                "4 owner-data t",
            ),
            ("TRUNCATE t", "1 truncate t"),
        ] {
            assert_eq!(told(sql), [expected], "{sql}");
        }
    }

    #[test]
    fn what_is_harmless_is_not_found() {
        for sql in [
            "CREATE TABLE par (id int PRIMARY KEY); CREATE TABLE kid (p int REFERENCES par (id))",
            "CREATE TABLE kid (tenant_id uuid, p int, FOREIGN KEY (tenant_id, p) REFERENCES par (tenant_id, id))",
            "CREATE UNIQUE INDEX i ON t (tenant_id, a)",
            "CREATE INDEX i ON t (a)",
            "ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX i",
            "CREATE TRIGGER g BEFORE UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON t TO app",
            "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ UPDATE t SET a = 1 $$",
            "SELECT a FROM t FOR UPDATE",
            "CREATE TABLE n (a int); INSERT INTO n VALUES (1)",
            "SET statement_timeout = 0",
            "ALTER TABLE t DROP CONSTRAINT k",
            "CREATE MATERIALIZED VIEW app.v AS SELECT 1 AS a; CREATE UNIQUE INDEX i ON app.v (a)",
            "CREATE TEMP TABLE n (a int); DELETE FROM n",
        ] {
            assert!(told(sql).is_empty(), "{sql}: {:?}", told(sql));
        }
    }
}

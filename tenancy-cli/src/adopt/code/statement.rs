//! What statements of an application do that tenants break, or that reaches across tenants.

use super::{
    finding::{Finding, Kind},
    known::{Known, TENANT},
    tokens::{Is, Token, tokens},
};

/// Words of PL/pgSQL after which a statement begins.
const BEFORE_STATEMENT: [&str; 5] = ["begin", "then", "else", "loop", "declare"];

/// How many functions may stand in one another. More do only in a text that is none.
const MOST_BODIES: usize = 8;

/// A text of SQL, and where it stands.
pub(super) struct Text<'a> {
    pub(super) sql: &'a str,
    /// The line of a byte of it.
    pub(super) line: &'a dyn Fn(usize) -> usize,
    /// Whether it may be a sentence of a language for people.
    pub(super) may_be_prose: bool,
    /// In how many bodies of functions it stands.
    pub(super) depth: usize,
    pub(super) known: &'a Known,
}

/// Looks at a file of statements.
pub(super) fn look(sql: &str, known: &Known, found: &mut Vec<Finding>) {
    let line = lines_of(sql);
    look_at(&of_file(sql, &line, known), found);
}

/// A file as a text.
pub(super) fn of_file<'a>(
    sql: &'a str,
    line: &'a dyn Fn(usize) -> usize,
    known: &'a Known,
) -> Text<'a> {
    Text {
        sql,
        line,
        may_be_prose: false,
        depth: 0,
        known,
    }
}

/// The line of each byte of a text.
pub(super) fn lines_of(text: &str) -> impl Fn(usize) -> usize {
    let breaks: Vec<_> = text.match_indices('\n').map(|(at, _)| at).collect();
    move |at| breaks.partition_point(|end| *end < at) + 1
}

/// Looks at each statement of a text.
pub(super) fn look_at(text: &Text<'_>, found: &mut Vec<Finding>) {
    for statement in statements(&tokens(text.sql)) {
        let mut here = Here {
            text,
            statement,
            found,
        };
        here.keys();
        here.across();
        here.session();
        here.bodies(&mut |body, found| look_at(body, found));
    }
}

/// The statements of a text: what stands between semicolons.
pub(super) fn statements<'t, 's>(tokens: &'t [Token<'s>]) -> Vec<&'t [Token<'s>]> {
    let parts = tokens.split(|token| token.is_mark(';'));
    parts.filter(|part| !part.is_empty()).collect()
}

/// A table's name, which may have its schema in front, and the place after it.
pub(super) fn table(tokens: &[Token<'_>], mut at: usize) -> Option<(String, usize)> {
    while tokens.get(at)?.is_one_of(&["only", "if", "not", "exists"]) {
        at += 1;
    }
    let mut name = tokens.get(at)?.name()?;
    at += 1;
    while tokens.get(at).is_some_and(|token| token.is_mark('.')) {
        name = tokens.get(at + 1)?.name()?;
        at += 2;
    }
    Some((name, at))
}

/// What stands in the parentheses that open here, and the place after them.
pub(super) fn within<'t, 's>(
    tokens: &'t [Token<'s>],
    at: usize,
) -> Option<(&'t [Token<'s>], usize)> {
    tokens.get(at).filter(|token| token.is_mark('('))?;
    let mut depth = 0_usize;
    for (end, token) in tokens.iter().enumerate().skip(at) {
        if token.is_mark('(') {
            depth += 1;
        } else if token.is_mark(')') {
            depth -= 1;
            if depth == 0 {
                return Some((tokens.get(at + 1..end)?, end + 1));
            }
        }
    }
    None
}

/// The columns of a list; an expression is none.
pub(super) fn columns(list: &[Token<'_>]) -> Vec<String> {
    let parts = list.split(|token| token.is_mark(','));
    let columns = parts.map(|part| match part {
        [one, ..] => one.name().unwrap_or_else(|| "an expression".to_owned()),
        [] => String::new(),
    });
    columns.collect()
}

/// A statement that is looked at.
pub(super) struct Here<'a, 't, 's> {
    pub(super) text: &'a Text<'a>,
    pub(super) statement: &'t [Token<'s>],
    pub(super) found: &'a mut Vec<Finding>,
}

impl Here<'_, '_, '_> {
    pub(super) fn tell(&mut self, kind: Kind, at: usize, what: impl Into<String>) {
        let begins = self.statement.first().map_or(at, |first| first.at);
        self.found.push(Finding {
            kind,
            line: (self.text.line)(at),
            begins: (self.text.line)(begins),
            what: what.into(),
        });
    }

    /// What names columns or their number.
    pub(super) fn keys(&mut self) {
        let tokens = self.statement;
        let known = self.text.known;
        let mut inserted: Option<String> = None;
        for (at, token) in tokens.iter().enumerate() {
            let next =
                |words: &[&str]| tokens.get(at + 1).is_some_and(|next| next.is_one_of(words));
            if token.is("insert") && next(&["into"]) {
                inserted = table(tokens, at + 2).map(|(table, _)| table);
                if let Some((name, after)) = table(tokens, at + 2)
                    && known.is_a_tenants(&name)
                    && let Some(star) = selects_all(tokens, after)
                {
                    self.tell(Kind::PositionalInsert, star, name);
                }
            } else if token.is("on") && next(&["conflict"]) {
                let Some((list, _)) = within(tokens, at + 2) else {
                    continue;
                };
                let named = columns(list);
                let holds = match &inserted {
                    Some(table) => known.becomes_a_tenants(table, &named),
                    None => true,
                };
                if holds && !named.iter().any(|column| column == TENANT) {
                    let joined = named.join(", ");
                    let what = match &inserted {
                        Some(table) => format!("{table}: {joined}"),
                        None => joined,
                    };
                    self.tell(Kind::OnConflict, token.at, what);
                }
            }
        }
        self.lookups();
    }

    /// Look-ups by a key that becomes a tenant's.
    fn lookups(&mut self) {
        let tokens = self.statement;
        if tokens
            .iter()
            .any(|token| token.name().as_deref() == Some(TENANT))
        {
            return;
        }
        let mut tables = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            if token.is_one_of(&["from", "join", "update"]) {
                tables.extend(table(tokens, at + 1).map(|(table, _)| table));
            }
        }
        for (at, token) in tokens.iter().enumerate() {
            let compared = tokens.get(at + 1).is_some_and(|next| next.is_mark('='));
            let before = at.checked_sub(1).and_then(|before| tokens.get(before));
            let begins = before.is_some_and(|before| {
                before.is_one_of(&["where", "and", "or", "on"])
                    || before.is_mark('(')
                    || before.is_mark('.')
            });
            let Some(column) = token.name().filter(|_| compared && begins) else {
                continue;
            };
            let of = tables
                .iter()
                .find(|table| self.text.known.is_looked_up(table, &column));
            if let Some(table) = of {
                let what = format!("{table}.{column}");
                self.tell(Kind::GlobalLookup, token.at, what);
            }
        }
    }

    /// Whether a key word is written as people write SQL, where the text may be a sentence of theirs.
    fn is_meant(&self, token: &Token<'_>) -> bool {
        let written = self.text.sql.get(token.at..).unwrap_or_default();
        !self.text.may_be_prose
            || written.starts_with(|c: char| c.is_ascii_uppercase())
                && written
                    .chars()
                    .nth(1)
                    .is_some_and(|c| c.is_ascii_uppercase())
    }

    /// What asks no policy, or is refused under one.
    pub(super) fn across(&mut self) {
        let tokens = self.statement;
        let Some(first) = tokens.first().filter(|first| self.is_meant(first)) else {
            return;
        };
        let at = first.at;
        if first.is("truncate") {
            let begins = usize::from(tokens.get(1).is_some_and(|next| next.is("table"))) + 1;
            let is_list = tokens.iter().skip(1).all(|token| {
                token.name().is_some()
                    || token.is_mark(',')
                    || token.is_mark('.')
                    || token.is_mark('*')
            });
            if let Some((name, _)) = table(tokens, begins).filter(|_| is_list)
                && self.text.known.is_a_tenants(&name)
            {
                self.tell(Kind::Truncate, at, name);
            }
        } else if first.is("copy") {
            let Some((name, mut after)) = table(tokens, 1) else {
                return;
            };
            if let Some((_, behind)) = within(tokens, after) {
                after = behind;
            }
            if tokens.get(after).is_some_and(|token| token.is("from"))
                && self.text.known.is_a_tenants(&name)
            {
                self.tell(Kind::Copy, at, name);
            }
        }
    }

    /// What stays with a connection.
    fn session(&mut self) {
        let tokens = self.statement;
        for (at, token) in tokens.iter().enumerate() {
            if !token.is("set_config") {
                continue;
            }
            let Some((list, _)) = within(tokens, at + 1) else {
                continue;
            };
            if let [.., comma, last] = list
                && comma.is_mark(',')
                && last.is("false")
            {
                self.tell(Kind::SessionSetting, token.at, "a parameter");
            }
        }
        let Some(first) = tokens.first().filter(|first| self.is_meant(first)) else {
            return;
        };
        if !first.is("set") {
            return;
        }
        let begins = usize::from(tokens.get(1).is_some_and(|next| next.is("session"))) + 1;
        let rest = tokens.get(begins..).unwrap_or_default();
        let what = match rest {
            [role, _] if role.is("role") => "a role".to_owned(),
            [user, ..] if user.is("authorization") => "a role".to_owned(),
            [local, ..]
                if local.is_one_of(&["local", "transaction", "constraints", "characteristics"]) =>
            {
                return;
            }
            _ => match setting(rest) {
                Some(name) => format!("`{name}`"),
                None => return,
            },
        };
        self.tell(Kind::SessionSetting, first.at, what);
    }

    /// Has the bodies of functions and of DO looked at, each statement of them.
    pub(super) fn bodies(&mut self, look: &mut dyn FnMut(&Text<'_>, &mut Vec<Finding>)) {
        let has_code = match self.statement {
            [first, ..] if first.is("do") => true,
            [first, rest @ ..] if first.is("create") => {
                let head = rest.iter().take(4);
                head.into_iter()
                    .any(|token| token.is_one_of(&["function", "procedure"]))
            }
            _ => false,
        };
        if !has_code || self.text.depth == MOST_BODIES {
            return;
        }
        for token in self.statement {
            let Is::Body(body, at) = token.is else {
                continue;
            };
            let outer = self.text.line;
            let line = |inner: usize| outer(at + inner);
            look(
                &Text {
                    sql: body,
                    line: &line,
                    may_be_prose: false,
                    depth: self.text.depth + 1,
                    known: self.text.known,
                },
                self.found,
            );
        }
    }
}

/// The statement without what PL/pgSQL has in front of it.
pub(super) fn without_head<'t, 's>(statement: &'t [Token<'s>]) -> &'t [Token<'s>] {
    let head = statement
        .iter()
        .rposition(|token| token.is_one_of(&BEFORE_STATEMENT));
    let head = head.map_or(0, |last| last + 1);
    statement.get(head..).unwrap_or_default()
}

/// The name of a parameter that is set to a value. What only looks like it is a part of an UPDATE.
fn setting(tokens: &[Token<'_>]) -> Option<String> {
    let mut name = tokens.first()?.name()?;
    let mut at = 1;
    while tokens.get(at)?.is_mark('.') {
        name = format!("{name}.{}", tokens.get(at + 1)?.name()?);
        at += 2;
    }
    let sets = tokens.get(at)?;
    if !(sets.is_mark('=') || sets.is("to")) {
        return None;
    }
    let value = tokens.get(at + 1..)?;
    let is_value = |token: &Token<'_>| {
        matches!(token.is, Is::Word(_) | Is::Quoted(_) | Is::Literal)
            || token.is_mark(',')
            || token.is_mark('-')
    };
    (!value.is_empty() && value.iter().all(is_value)).then_some(name)
}

/// Where all columns are selected for an INSERT of which the table's name has ended.
fn selects_all(tokens: &[Token<'_>], mut at: usize) -> Option<usize> {
    if tokens.get(at).is_some_and(|token| token.is("as")) {
        at += 2;
    }
    if let Some((_, after)) = within(tokens, at) {
        at = after;
    }
    tokens.get(at).filter(|token| token.is("select"))?;
    let mut depth = 0_usize;
    let mut before = tokens.get(at)?;
    for token in tokens.get(at + 1..)? {
        if token.is_mark('(') {
            depth += 1;
        } else if token.is_mark(')') {
            depth = depth.checked_sub(1)?;
        } else if depth == 0 && token.is("from") {
            return None;
        } else if depth == 0
            && token.is_mark('*')
            && (before.is_one_of(&["select", "distinct", "all"])
                || before.is_mark(',')
                || before.is_mark('.'))
        {
            return Some(token.at);
        }
        before = token;
    }
    None
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
                "INSERT INTO app.users (a, b) VALUES ($1, $2)\nON CONFLICT (a, b) DO NOTHING",
                "2 on-conflict users: a, b",
            ),
            (
                "INSERT INTO t VALUES (1) ON CONFLICT (lower(a)) DO NOTHING",
                "1 on-conflict t: lower",
            ),
            ("ON CONFLICT (id) DO UPDATE SET a = 1", "1 on-conflict id"),
            ("INSERT INTO t SELECT * FROM s", "1 positional-insert t"),
            (
                "INSERT INTO t (a, b)\nSELECT DISTINCT s.*\nFROM s",
                "2 positional-insert t",
            ),
            (
                "SELECT 1;\nTRUNCATE TABLE a, b RESTART IDENTITY CASCADE",
                "2 truncate a",
            ),
            ("copy t (a, b) from stdin", "1 copy-from t"),
            (
                "SET search_path TO app, public",
                "1 session-setting `search_path`",
            ),
            ("SET SESSION app.user = 'x'", "1 session-setting `app.user`"),
            ("set role reader", "1 session-setting a role"),
            (
                "SELECT set_config('app.user', $1, false)",
                "1 session-setting a parameter",
            ),
            (
                "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$\nBEGIN\n  INSERT INTO t VALUES (1)\n    ON \
                 CONFLICT (id) DO NOTHING;\nEND $f$",
                "4 on-conflict t: id",
            ),
        ] {
            assert_eq!(told(sql), [expected], "{sql}");
        }
    }

    #[test]
    fn what_is_harmless_is_not_found() {
        for sql in [
            "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
            "INSERT INTO t VALUES (1) ON CONFLICT ON CONSTRAINT t_pkey DO NOTHING",
            "INSERT INTO t VALUES (1) ON CONFLICT (tenant_id, id) DO NOTHING",
            "INSERT INTO t (n) SELECT count(*) FROM s",
            "INSERT INTO t (n) SELECT a * b FROM s",
            "INSERT INTO t (a) VALUES ('ON CONFLICT (a)') -- ON CONFLICT (a)",
            "COPY t TO stdout",
            "COPY (SELECT 1) TO stdout",
            "SET LOCAL search_path TO app",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET a = $1",
            "SET a = excluded.a",
            "UPDATE t SET a = 1",
            "SELECT set_config('app.user', $1, true)",
            "SELECT truncate FROM t",
        ] {
            assert!(told(sql).is_empty(), "{sql}: {:?}", told(sql));
        }
    }

    #[test]
    fn sentences_are_no_statements() {
        for sql in [
            "truncate failed",
            "set timeout to 5",
            "Set the name",
            "copy files from disk",
        ] {
            let mut found = Vec::new();
            let known = Known::nothing();
            let text = Text {
                sql,
                line: &|_| 1,
                may_be_prose: true,
                depth: 0,
                known: &known,
            };
            look_at(&text, &mut found);
            assert!(found.is_empty(), "{sql}: {found:?}");
        }
    }
}

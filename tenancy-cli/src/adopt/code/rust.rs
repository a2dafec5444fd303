//! Sources of Rust: their texts, wherever they stand, and the types and calls that reach the database without a tenant.
//!
//! Tokens are looked at, and no syntax tree: macros such as `query!` are tokens for a parser too, and a macro of the
//! application's own may have SQL in it.

use proc_macro2::{Delimiter, TokenStream, TokenTree, extra::invalidate_current_thread_spans};

use super::{
    finding::{Finding, Kind},
    known::Known,
    literals::Literal,
    report::Report,
    statement::{Text, look_at},
    tokens::tokens,
};

/// Pools and connections that name no tenant.
const RAW: [&str; 4] = ["PgPool", "PgPoolOptions", "AnyPool", "PgPoolConnection"];

/// Ways to open a connection.
const OPENS: [&str; 3] = ["connect", "connect_with", "establish"];

/// Macros that put a text together.
const FORMATS: [&str; 3] = ["format", "format_args", "write"];

/// How deep parentheses may stand in one another. A file in which they are deeper is generated.
const DEEPEST: usize = 500;

/// Looks at a source.
///
/// # Errors
/// The line from which on it is no Rust, and why.
pub(super) fn look(
    text: &str,
    known: &Known,
    report: &mut Report,
) -> Result<Vec<Finding>, (usize, String)> {
    let parsed: Result<TokenStream, _> = text.parse();
    let looked = match parsed {
        Ok(stream) => {
            let mut looking = Looking {
                known,
                report,
                depth: 0,
                is_too_deep: false,
                found: Vec::new(),
            };
            looking.stream(stream);
            if looking.is_too_deep {
                let why = format!("the file has more than {DEEPEST} parentheses in one another");
                Err((1, why))
            } else {
                Ok(looking.found)
            }
        }
        Err(error) => {
            let line = error.span().start().line;
            Err((line.max(1), format!("the file is no Rust: {error}")))
        }
    };
    // The places of all sources of a thread are kept otherwise.
    invalidate_current_thread_spans();
    looked
}

struct Looking<'a> {
    known: &'a Known,
    report: &'a mut Report,
    depth: usize,
    is_too_deep: bool,
    found: Vec<Finding>,
}

impl Looking<'_> {
    fn stream(&mut self, stream: TokenStream) {
        if self.depth == DEEPEST {
            self.is_too_deep = true;
            return;
        }
        self.depth += 1;
        let trees: Vec<_> = stream.into_iter().collect();
        let mut at = 0;
        while let Some(rest) = trees.get(at..).filter(|rest| !rest.is_empty()) {
            at += self.next(rest).max(1);
        }
        self.depth -= 1;
    }

    /// Looks at what comes next, and says of how many tokens that was.
    fn next(&mut self, rest: &[TokenTree]) -> usize {
        match rest {
            [TokenTree::Punct(hash), TokenTree::Group(group), ..]
                if hash.as_char() == '#' && is_documentation(&group.stream()) =>
            {
                2
            }
            [
                TokenTree::Punct(hash),
                TokenTree::Punct(inner),
                TokenTree::Group(group),
                ..,
            ] if hash.as_char() == '#'
                && inner.as_char() == '!'
                && is_documentation(&group.stream()) =>
            {
                3
            }
            // A test shows by itself what breaks.
            [TokenTree::Punct(hash), TokenTree::Group(group), after @ ..]
                if hash.as_char() == '#' && is_test(group.stream()) =>
            {
                self.report.tests += 1;
                let ends = |tree: &TokenTree| match tree {
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                    tree => is_punct(tree, ';'),
                };
                after.iter().position(ends).map_or(2, |end| end + 3)
            }
            // An import reaches nothing yet.
            [TokenTree::Ident(word), after, ..] if word == "use" && !is_punct(after, '<') => {
                let end = rest.iter().position(|tree| is_punct(tree, ';'));
                end.map_or(1, |end| end + 1)
            }
            [TokenTree::Ident(name), bang, TokenTree::Group(group), ..]
                if is_punct(bang, '!') && name == "concat" =>
            {
                self.joined(group.stream());
                3
            }
            [TokenTree::Ident(name), bang, TokenTree::Group(group), ..]
                if is_punct(bang, '!') && FORMATS.iter().any(|one| name == one) =>
            {
                if texts(group.stream()).first().is_some_and(is_sql) {
                    self.report.built += 1;
                }
                self.stream(group.stream());
                3
            }
            [TokenTree::Ident(_), ..] => self.name(rest),
            [dot, TokenTree::Ident(name), TokenTree::Group(group), ..]
                if is_punct(dot, '.') && group.delimiter() == Delimiter::Parenthesis =>
            {
                self.call(&name.to_string(), group.stream(), name.span().start().line);
                2
            }
            [TokenTree::Literal(literal), ..] => {
                let line = literal.span().start().line;
                if let Some(text) = Literal::read(&literal.to_string(), line) {
                    self.text(&text);
                }
                1
            }
            [TokenTree::Group(group), ..] => {
                self.stream(group.stream());
                1
            }
            _ => 1,
        }
    }

    fn name(&mut self, rest: &[TokenTree]) -> usize {
        let [TokenTree::Ident(name), after @ ..] = rest else {
            return 1;
        };
        let line = name.span().start().line;
        let name = name.to_string();
        let member = match after {
            [one, other, TokenTree::Ident(member), ..]
                if is_punct(one, ':') && is_punct(other, ':') =>
            {
                Some(member.to_string())
            }
            _ => None,
        };
        if RAW.contains(&name.as_str()) {
            self.tell(Kind::RawPool, line, name);
        } else if name == "Pool" && is_of_postgres(after) {
            self.tell(Kind::RawPool, line, "Pool<Postgres>");
        } else if let Some(member) = member {
            if name == "PgConnection" && OPENS.contains(&member.as_str()) {
                self.tell(Kind::RawPool, line, format!("PgConnection::{member}"));
            } else if name == "OnConflict" {
                self.report.upserts += 1;
            } else if name == "QueryBuilder" && member == "new" {
                self.report.built += 1;
            }
        }
        1
    }

    fn call(&mut self, name: &str, arguments: TokenStream, line: usize) {
        match name {
            "persistent" if arguments.to_string() == "false" => {
                self.tell(Kind::Unprepared, line, "a statement");
            }
            "on_conflict" => self.report.upserts += 1,
            _ => {}
        }
    }

    /// The texts of `concat!`, which are one.
    fn joined(&mut self, stream: TokenStream) {
        let mut all = texts(stream).into_iter();
        if let Some(mut joined) = all.next() {
            all.for_each(|other| joined.join(&other));
            self.text(&joined);
        }
    }

    fn text(&mut self, literal: &Literal) {
        let text = Text {
            sql: &literal.value,
            line: &|at| literal.line(at),
            may_be_prose: true,
            depth: 0,
            known: self.known,
        };
        look_at(&text, &mut self.found);
    }

    fn tell(&mut self, kind: Kind, line: usize, what: impl Into<String>) {
        self.found.push(Finding {
            kind,
            line,
            begins: line,
            what: what.into(),
        });
    }
}

fn is_punct(tree: &TokenTree, mark: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// Whether an attribute is a comment for readers.
fn is_documentation(attribute: &TokenStream) -> bool {
    let first = attribute.clone().into_iter().next();
    matches!(first, Some(TokenTree::Ident(name)) if name == "doc")
}

/// Whether an attribute makes an item a test: `#[test]`, `#[sqlx::test(…)]`, `#[cfg(test)]`.
fn is_test(attribute: TokenStream) -> bool {
    let trees: Vec<_> = attribute.into_iter().collect();
    let named = |tree: &TokenTree, name: &str| matches!(tree, TokenTree::Ident(one) if one == name);
    match trees.as_slice() {
        [cfg, TokenTree::Group(group)] if named(cfg, "cfg") => group.stream().to_string() == "test",
        [.., last] | [.., last, TokenTree::Group(_)] if named(last, "test") => true,
        _ => false,
    }
}

/// Whether the type that comes next is of PostgreSQL: `<Postgres>`, `<sqlx::Postgres>`.
fn is_of_postgres(after: &[TokenTree]) -> bool {
    let Some((open, rest)) = after.split_first() else {
        return false;
    };
    let end = rest.iter().position(|tree| is_punct(tree, '>'));
    let of = end.and_then(|end| rest.get(..end)).unwrap_or_default();
    is_punct(open, '<') && matches!(of.last(), Some(TokenTree::Ident(name)) if name == "Postgres")
}

/// The texts that stand directly in a macro's arguments.
fn texts(stream: TokenStream) -> Vec<Literal> {
    let literals = stream.into_iter().filter_map(|tree| match tree {
        TokenTree::Literal(literal) => {
            let line = literal.span().start().line;
            Literal::read(&literal.to_string(), line)
        }
        _ => None,
    });
    literals.collect()
}

/// Whether a text looks like a statement.
fn is_sql(literal: &Literal) -> bool {
    let tokens = tokens(&literal.value);
    let begins = [
        "select", "insert", "update", "delete", "with", "truncate", "copy", "set",
    ];
    let has = ["from", "into", "set", "values", "where", "as", "table"];
    tokens.len() > 2
        && tokens.first().is_some_and(|first| first.is_one_of(&begins))
        && tokens.iter().any(|token| token.is_one_of(&has))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str) -> (Vec<String>, usize, usize) {
        let mut report = Report::default();
        let told = match look(source, &Known::nothing(), &mut report) {
            Ok(found) => found
                .iter()
                .map(|one| format!("{} {} {}", one.line, one.kind.code(), one.what))
                .collect(),
            Err((line, why)) => vec![format!("{line} {why}")],
        };
        (told, report.built, report.upserts)
    }

    #[test]
    fn texts_are_found_wherever_they_stand() {
        for (source, expected) in [
            (
                "fn f() {\n sqlx::query!(\n \"INSERT INTO t (a) VALUES ($1)\n ON CONFLICT (a) DO NOTHING\", 1);\n}",
                "4 on-conflict t: a",
            ),
            // What a type captures is no import.
            (
                "fn f() -> impl Sized + use<> {\n query(\"TRUNCATE t\") }\nconst X: i32 = 1;",
                "2 truncate t",
            ),
            (
                "const Q: &str = r#\"\nINSERT INTO t SELECT * FROM s\"#;",
                "2 positional-insert t",
            ),
            (
                "const Q: &str = concat!(\"INSERT INTO t (a) \",\n \"VALUES (1) ON CONFLICT\",\n \" (a) DO NOTHING\");",
                "2 on-conflict t: a",
            ),
            (
                "fn f() { q.push(\" ON CONFLICT (id) DO NOTHING\") }",
                "1 on-conflict id",
            ),
            ("fn f() { query(\"TRUNCATE notes\") }", "1 truncate notes"),
            ("struct S { pool: sqlx::PgPool }", "1 raw-pool PgPool"),
            (
                "fn f(pool: &Pool<sqlx::Postgres>) {}",
                "1 raw-pool Pool<Postgres>",
            ),
            (
                "fn f() { PgConnection::connect(&url) }",
                "1 raw-pool PgConnection::connect",
            ),
            (
                "fn f() { query(a)\n .persistent(false) }",
                "2 unprepared a statement",
            ),
        ] {
            assert_eq!(told(source).0, [expected], "{source}");
        }
    }

    #[test]
    fn what_is_harmless_is_not_found() {
        for source in [
            "use sqlx::{PgPool, Pool};",
            "/// `TRUNCATE notes`, INSERT INTO t SELECT * FROM s\nfn f() {}",
            "//! ON CONFLICT (a)\n// TRUNCATE notes\nfn f() {}",
            "fn f(pool: Pool<Sqlite>, other: MyPool) { query(a).persistent(true) }",
            "fn f() { bail!(\"set timeout to 5 or truncate the text\") }",
        ] {
            assert!(told(source).0.is_empty(), "{source}: {:?}", told(source));
        }
    }

    #[test]
    fn tests_are_passed_over() {
        for test in [
            "#[test]",
            "#[sqlx::test(migrations = \"m\")]",
            "#[cfg(test)]\n#[allow(x)]",
        ] {
            let source = format!(
                "{test}\nmod a {{ fn f(pool: PgPool) {{ query(\"TRUNCATE a\") }} }}\nstruct S(PgPool);"
            );
            let line = source.lines().count();
            assert_eq!(
                told(&source).0,
                [format!("{line} raw-pool PgPool")],
                "{source}"
            );
        }
        for other in [
            "#[cfg(not(test))]",
            "#[cfg_attr(test, derive(Debug))]",
            "#[testing]",
        ] {
            let source = format!("{other}\nfn f(pool: PgPool) {{}}");
            assert_eq!(told(&source).0, ["2 raw-pool PgPool"], "{source}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_counted() {
        let source = "fn f() { format!(\"SELECT * FROM {t}\"); QueryBuilder::new(\"x\"); format!(\"{a}\"); }";
        assert_eq!(told(source), (Vec::new(), 2, 0));
        let source = "fn f() { insert_into(t).values(v).on_conflict(id).do_nothing() }";
        assert_eq!(told(source), (Vec::new(), 0, 1));
    }

    #[test]
    fn what_is_no_rust_is_named() {
        let known = Known::nothing();
        let deep = format!("fn f() {{ {}{} }}", "(".repeat(2_000), ")".repeat(2_000));
        let error = look(&deep, &known, &mut Report::default()).err();
        assert!(error.is_some_and(|(_, why)| why.contains("more than 500")));
        let error = look("fn f() {\n (", &known, &mut Report::default()).err();
        assert!(error.is_some_and(|(line, why)| line > 0 && why.contains("no Rust")));
    }
}

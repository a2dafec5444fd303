//! What shapes show, and that no value is among it.

use proptest::prelude::*;

use super::*;

fn shape(sql: &str) -> Shape {
    Shape::of(sql, &Protected::default())
}

fn text(sql: &str) -> String {
    shape(sql).text.to_string()
}

#[test]
fn values_are_left_out_in_each_form_in_which_they_are_written() {
    for (sql, expected) in [
        (
            "SELECT body FROM notes WHERE id = $1",
            "select body from notes where id = $1",
        ),
        (
            "SELECT 'bob', E'b\\'ob', N'bob', B'01', X'0f'",
            "select ?, ?, ?, ?, ?",
        ),
        (
            "SELECT U&'b\\006fb' UESCAPE '!', 'it''s'",
            "select ? uescape ?, ?",
        ),
        ("SELECT $$bob$$, $b$ $$ ' $b$", "select ?, ?"),
        (
            "SELECT 4711, 47.11, .5, 1e-5, 0x1F, 1_000",
            "select ?, ?, ?, ?, ?, ?",
        ),
        (
            "SELECT -5, a - 5, a -5, (-5), a = -5, a=-5 OR a BETWEEN -5 AND +5",
            "select ?, a - ?, a - ?, (?), a = ?, a = ? or a between ? and ?",
        ),
        ("SELECT 1 -- bob\n, /* bob /* bob */ */ 2", "select ?, ?"),
        (
            "UPDATE notes SET done = TRUE, body = NULL WHERE body IS NOT NULL AND done IS NOT FALSE",
            "update notes set done = ?, body = ? where body is not null and done is not false",
        ),
        (
            "SELECT data->>'email', data @> '{\"a\":1}'::jsonb, $1::uuid",
            "select data ->> ?, data @> ?, $1",
        ),
        (
            "SELECT date '2024-01-01', interval '1 day'",
            "select date ?, interval ?",
        ),
        (
            "SET LOCAL application_name TO bob",
            "set local application_name to ?",
        ),
        (
            "SET app.user = bob, carol; SELECT 1",
            "set app.user = ?; select ?",
        ),
        ("DO $$ BEGIN PERFORM 'bob'; END $$", "do ?"),
    ] {
        assert_eq!(text(sql), expected, "{sql}");
    }
}

#[test]
fn statements_that_differ_in_values_only_have_one_shape() {
    for (one, other) in [
        (
            "SELECT 1 FROM notes WHERE id IN (1, 2)",
            "select 99 from  notes\nwhere id in (-3,'x',$4)",
        ),
        (
            "INSERT INTO notes (a, b) VALUES (1, 'x'), ($1, 2)",
            "INSERT INTO notes(a,b) VALUES ('1'::int, $2), (3, 4), (5, '6'), (7, 8)",
        ),
        (
            "INSERT INTO notes (a) VALUES (1), (2)",
            "INSERT INTO notes (a) VALUES (1), (2), (3)",
        ),
    ] {
        assert_eq!(text(one), text(other));
    }
    assert_eq!(
        text("INSERT INTO Notes (a, b) VALUES (1, 'x'), ($1, 2) RETURNING \"Id\""),
        "insert into notes(a, b) values (…), … returning \"Id\""
    );
}

/// What one reading takes for the end of a text is the beginning of one for another.
#[test]
fn a_text_that_is_not_clear_shows_its_verb_alone() {
    for sql in [
        "SELECT 'O'Brien'",
        "SELECT 'O'Brien' FROM notes WHERE name = 'O'Hara'",
        "SELECT 'it\\'s bob'",
        "SELECT 'C:\\'",
        "SELECT 'open bob",
        "SELECT \"open bob",
        "SELECT $tag$ bob",
        "SELECT $ bob",
        "SELECT /* bob",
        "SELECT E'bob\\",
        "SELECT name'bob'",
        "SELECT 5'bob'",
        "SELECT U&\"\\0062ob\" FROM notes",
    ] {
        let shape = shape(sql);
        assert_eq!(&*shape.text, "select …", "{sql}");
        assert!(!shape.is_clear, "{sql}");
    }
    for sql in ["bob", "'bob' SELECT", "Bob's notes", ""] {
        assert!(!text(sql).to_lowercase().contains("bob"), "{sql}");
    }
}

#[test]
fn a_long_statement_is_cut_and_what_it_names_is_found_all_the_same() {
    let protected = Protected::of([("public", "notes")]);
    let columns: Vec<_> = (0..5_000).map(|n| format!("größe_{n}")).collect();
    let sql = format!("SELECT {} FROM notes", columns.join(", "));
    let shape = Shape::of(&sql, &protected);
    assert!(shape.text.len() <= LONGEST + '…'.len_utf8());
    assert!(shape.text.starts_with("select größe_0, größe_1, ") && shape.text.ends_with('…'));
    assert_eq!(&*shape.tables, ["public.notes".into()]);
}

#[test]
fn protected_tables_are_found_by_their_names() {
    let protected = Protected::of([
        ("public", "notes"),
        ("public", "Tags"),
        ("app", "bills"),
        ("tenancy", "roles"),
    ]);
    let found = |sql: &str| Shape::of(sql, &protected).tables.join(" ");
    for (sql, expected) in [
        ("SELECT * FROM notes", "public.notes"),
        (
            "SELECT * FROM NOTES n JOIN bills USING (id)",
            "app.bills public.notes",
        ),
        ("SELECT * FROM public.notes", "public.notes"),
        ("SELECT * FROM \"public\" . \"notes\"", "public.notes"),
        ("SELECT * FROM other.notes", ""),
        ("SELECT * FROM \"Notes\", tags", ""),
        ("SELECT * FROM \"Tags\"", "public.Tags"),
        // The library's own tables are not on the search path.
        ("SELECT * FROM roles", ""),
        ("SELECT * FROM tenancy.roles", "tenancy.roles"),
        ("SELECT 'notes', notes_of(1) -- notes", ""),
        (
            "WITH old AS (DELETE FROM bills RETURNING *) SELECT count(*) FROM old",
            "app.bills",
        ),
    ] {
        assert_eq!(found(sql), expected, "{sql}");
    }
}

/// A value that shows nowhere else, in each form.
fn literal() -> impl Strategy<Value = String> {
    let forms = prop::sample::select(vec![
        "'SECRET'",
        "'it''s SECRET'",
        "E'\\'SECRET\\\\'",
        "e'SECRET'''",
        "U&'SECRET\\0041'",
        "$$SECRET$$",
        "$q$SECRET ' $q$",
        "-- SECRET'\n1",
        "/* SECRET ' /* $$ */ */ 2",
        "'SECRET'::text",
        "'\n-- SECRET'",
        "'SECRET' 'SECRET'",
    ]);
    forms.prop_map(str::to_owned)
}

/// What may stand between literals in a statement.
fn glue() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        " , ",
        " = ",
        " (",
        ") ",
        " IN (",
        " || ",
        " AND body = ",
        " VALUES (",
        "), (",
        " -> ",
        "\n",
        "\t; SELECT ",
        " - ",
        " \"a name\" ",
        " \"it\"\"s\" ",
        " $1 ",
        " a.b ",
        " [",
        "] ",
        " größe ",
        " :: jsonb ",
        " / ",
        " * ",
        " LIKE ",
        " IS NOT NULL ",
        " 'x' ",
        " 5 ",
    ]);
    prop::collection::vec(parts, 1..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_literal_survives(parts in prop::collection::vec((glue(), literal()), 1..8), end in glue()) {
        let mut sql = "SELECT a".to_owned();
        for (glue, literal) in parts {
            sql += &glue;
            sql += &literal;
            // Two texts beside each other would be one.
            sql.push(' ');
        }
        sql += &end;
        let shape = shape(&sql);
        prop_assert!(!shape.text.contains("SECRET"), "{} -> {}", sql, shape.text);
        prop_assert!(shape.is_clear, "{}", sql);
    }

    /// Whatever the text is: if a quote is left over, nothing of it is shown but the verb.
    #[test]
    fn a_quote_that_is_left_over_hides_the_text(before in "[a-z0-9 ,()=]{0,20}", after in "[A-Z ]{0,20}") {
        let sql = format!("SELECT {before} '{after}");
        prop_assert_eq!(&*shape(&sql).text, "select …");
    }

    #[test]
    fn no_number_survives(number in 100_u32.., sign in "[-+ ]?", dot in "[.]?") {
        let sql = format!("SELECT a FROM notes WHERE b = {sign}{dot}{number} AND c IN ({sign}{number}, {number})");
        let text = text(&sql);
        prop_assert!(!text.contains(|c: char| c.is_ascii_digit()), "{} -> {}", sql, text);
    }

    #[test]
    fn every_text_is_read_and_bounded(sql in "\\PC{0,200}", noise in "[a-z0-9'\"$\\\\/*\\-;:.,()\\n E&U]{0,200}") {
        for sql in [sql, noise.clone(), format!("SELECT {noise}")] {
            let shape = shape(&sql);
            prop_assert!(shape.text.len() <= LONGEST + '…'.len_utf8());
            // The same each time, and of each form that it gives itself.
            prop_assert_eq!(&shape, &super::Shape::of(&sql, &Protected::default()));
        }
    }
}

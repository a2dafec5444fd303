//! What was decided by hand: the section `[adopt]` of `tenancy.toml`.

mod nearest;
mod resolve;

use std::path::Path;

use tenancy_core::{
    ConfigError, TenantId,
    document::{Fields, Node, Placed, Value, from_toml},
};

use super::decision::Holds;
use crate::failure::Failure;
use nearest::{Named, not_found};
pub(super) use resolve::{Choice, Choices, find};

const SECTION: [&str; 7] = [
    "root",
    "one-tenant",
    "tenant",
    "shared",
    "closed",
    "tables",
    "keys",
];
const TABLE: [&str; 5] = ["rows", "from", "to", "to-columns", "otherwise"];
const ROWS: &str = "\"shared\", \"closed\" or \"tenant\"";
const HOLDS: &str = "\"tenant\" or \"everywhere\"";
const TABLES: &str = "a list of tables, such as [\"public.countries\"]";
const COLUMNS: &str = "a column, or a list of columns, such as [\"organization_id\"]";

/// The answers as they are written, before it is known what they are about.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) root: Option<Placed<String>>,
    pub(super) one_tenant: Option<Placed<String>>,
    /// The id of the one tenant.
    pub(super) tenant: Option<TenantId>,
    shared: Vec<Placed<String>>,
    closed: Vec<Placed<String>>,
    tables: Vec<(Placed<String>, TableAnswer)>,
    keys: Vec<(Placed<String>, Holds)>,
}

/// What is answered of one table.
#[derive(Debug, Default)]
struct TableAnswer {
    rows: Option<Placed<RowsAnswer>>,
    from: Option<Placed<Vec<Placed<String>>>>,
    to: Option<Placed<String>>,
    to_columns: Option<Vec<Placed<String>>>,
    otherwise: Option<Placed<TenantId>>,
}

/// Whose rows there are, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowsAnswer {
    Shared,
    Closed,
    Tenant,
}

impl Answers {
    /// Those in a file.
    ///
    /// # Errors
    /// The file, and the place in it.
    pub(super) fn in_file(file: &Path) -> Result<Self, Failure> {
        let named =
            |error: &dyn std::fmt::Display| Failure::Told(format!("{}: {error}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
        Self::in_text(&text).map_err(|error| named(&error))
    }

    /// Those in a text. Sections other than `[adopt]` are not ours.
    ///
    /// # Errors
    /// What can't be meant, with its place.
    pub(super) fn in_text(text: &str) -> Result<Self, ConfigError> {
        let root = from_toml(text)?;
        let Value::Table(sections) = &root.value else {
            return Ok(Self::default());
        };
        let section = sections.iter().find(|(name, _)| name.value == "adopt");
        section.map_or_else(|| Ok(Self::default()), |(_, node)| Self::of(node))
    }

    fn of(node: &Node) -> Result<Self, ConfigError> {
        let fields = Fields::of("`[adopt]`", node, "a section", &SECTION)?;
        let text = |name: &str, needs: &str| {
            let node = fields.get(name);
            node.map(|node| node.text(&format!("`{name}`"), needs))
                .transpose()
        };
        let listed = |name: &str| {
            let node = fields.get(name);
            node.map_or_else(|| Ok(Vec::new()), |node| texts(node, name, TABLES))
        };
        let answers = Self {
            root: text("root", "a table, such as \"public.organizations\"")?,
            one_tenant: text("one-tenant", "the tenant's name, such as \"Acme\"")?,
            tenant: tenant(&fields, "tenant")?.map(|id| id.value),
            shared: listed("shared")?,
            closed: listed("closed")?,
            tables: match fields.get("tables") {
                Some(node) => tables(node)?,
                None => Vec::new(),
            },
            keys: match fields.get("keys") {
                Some(node) => keys(node)?,
                None => Vec::new(),
            },
        };
        if let (Some(_), Some(one)) = (&answers.root, &answers.one_tenant) {
            return Err(one.at.error(
                "`one-tenant` stands beside `root`; keep the one that says who the tenants are",
            ));
        }
        if answers.tenant.is_some() && answers.root.is_some() {
            return Err(fields
                .at("tenant")
                .error("`tenant` is the id of the one tenant, and belongs to `one-tenant`"));
        }
        Ok(answers)
    }
}

fn tables(node: &Node) -> Result<Vec<(Placed<String>, TableAnswer)>, ConfigError> {
    let needs = "sections of tables, such as [adopt.tables.\"public.notes\"]";
    let entries = node.table("`[adopt.tables]`", needs)?.iter();
    entries
        .map(|(name, node)| Ok((name.clone(), table(&name.value, node)?)))
        .collect()
}

fn table(name: &str, node: &Node) -> Result<TableAnswer, ConfigError> {
    let whose = format!("`{name}`");
    let fields = Fields::of(&whose, node, "a section of answers", &TABLE)?;
    let rows = match fields.get("rows") {
        Some(node) => {
            let text = node.text("`rows`", ROWS)?;
            let value = match text.value.as_str() {
                "shared" => RowsAnswer::Shared,
                "closed" => RowsAnswer::Closed,
                "tenant" => RowsAnswer::Tenant,
                other => {
                    return Err(
                        node.error(format_args!("`rows` has to be {ROWS}; `{other}` is none"))
                    );
                }
            };
            Some(Placed { value, at: node.at })
        }
        None => None,
    };
    let from = fields.get("from").map(|node| {
        let value = columns(node, "from")?;
        Ok::<_, ConfigError>(Placed { value, at: node.at })
    });
    let to = fields.get("to");
    let to_columns = fields.get("to-columns");
    let answer = TableAnswer {
        rows,
        from: from.transpose()?,
        to: to
            .map(|node| node.text("`to`", "a table, such as \"public.organizations\""))
            .transpose()?,
        to_columns: to_columns
            .map(|node| columns(node, "to-columns"))
            .transpose()?,
        otherwise: tenant(&fields, "otherwise")?,
    };
    for (name, is_there) in [
        ("to", answer.to.is_some()),
        ("to-columns", answer.to_columns.is_some()),
        ("otherwise", answer.otherwise.is_some()),
    ] {
        if is_there && answer.from.is_none() {
            return Err(fields.at(name).error(format_args!(
                "{whose}: `{name}` belongs to `from`, which names the columns that refer"
            )));
        }
    }
    match (&answer.rows, &answer.from) {
        (None, None) => Err(node.error(format_args!(
            "{whose} says neither `rows` nor `from`; say whose its rows are, or by which columns they refer"
        ))),
        (Some(rows), Some(_)) if rows.value != RowsAnswer::Tenant => Err(fields
            .at("from")
            .error(format_args!("{whose}: `from` stands beside `rows`; keep one of them"))),
        _ => Ok(answer),
    }
}

fn keys(node: &Node) -> Result<Vec<(Placed<String>, Holds)>, ConfigError> {
    let needs = "keys by schema and index, such as \"public.users_email_key\" = \"tenant\"";
    let entries = node.table("`[adopt.keys]`", needs)?.iter();
    entries
        .map(|(name, node)| {
            let which = format!("`{}`", name.value);
            let holds = match node.text(&which, HOLDS)?.value.as_str() {
                "tenant" => Holds::Tenant,
                "everywhere" => Holds::Everywhere,
                other => {
                    let told = format!("{which} has to be {HOLDS}; `{other}` is neither");
                    return Err(node.error(told));
                }
            };
            Ok((name.clone(), holds))
        })
        .collect()
}

fn texts(node: &Node, name: &str, needs: &str) -> Result<Vec<Placed<String>>, ConfigError> {
    let list = node.list(&format!("`{name}`"), needs)?;
    let each = format!("each of `{name}`");
    list.iter().map(|node| node.text(&each, "a text")).collect()
}

/// Columns, of which one may stand without a list.
fn columns(node: &Node, name: &str) -> Result<Vec<Placed<String>>, ConfigError> {
    let columns = match &node.value {
        Value::Text(_) => vec![node.text(&format!("`{name}`"), COLUMNS)?],
        _ => texts(node, name, COLUMNS)?,
    };
    if columns.is_empty() {
        return Err(node.error(format_args!("`{name}` is empty; it has to be {COLUMNS}")));
    }
    Ok(columns)
}

fn tenant(fields: &Fields<'_>, name: &str) -> Result<Option<Placed<TenantId>>, ConfigError> {
    let Some(node) = fields.get(name) else {
        return Ok(None);
    };
    let needs = "the id of a tenant, a hyphenated UUID";
    let text = node.text(&format!("`{name}`"), needs)?;
    let id = text.value.parse().map_err(|_| {
        node.error(format_args!(
            "`{name}` has to be {needs}; `{}` is none",
            text.value
        ))
    })?;
    Ok(Some(Placed {
        value: id,
        at: node.at,
    }))
}

#[cfg(test)]
mod tests;

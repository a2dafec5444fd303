//! What becomes of unique keys: which hold within a tenant without a question, and which are asked.

use tenancy_sqlx::schema::{CatalogName, Column, Table, UniqueKey};

use super::sketch::{Sketch, Verdict};

/// What kind of key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Ids that are made up: identities, sequences, random ids. Within a tenant they are as unique as before.
    Generated,
    /// It names the row of a tenant beside others: it holds within that tenant already.
    Within,
    /// Somebody shows it before it is known whose it is: a token, a key.
    Credential,
    /// It says who somebody is: an address, a domain.
    Identity,
    /// Anything else.
    Natural,
}

impl Kind {
    pub(super) const fn is_asked(self) -> bool {
        matches!(self, Self::Credential | Self::Identity)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Within => "within",
            Self::Credential => "credential",
            Self::Identity => "identity",
            Self::Natural => "natural",
        }
    }
}

/// A unique key of a tenant's table.
#[derive(Debug, Clone)]
pub(super) struct Key<'g> {
    pub(super) table: &'g Table,
    pub(super) key: &'g UniqueKey,
    pub(super) kind: Kind,
}

impl Key<'_> {
    /// Schema and index, by which answers name it.
    pub(super) fn name(&self) -> CatalogName {
        CatalogName::new(&self.table.name.schema, &self.key.index)
    }

    /// Its columns and expressions as people read them.
    pub(super) fn columns(&self) -> String {
        let mut expressions = self.key.expressions.iter();
        let parts = self.key.columns.iter().map(|column| match column {
            Some(column) => column.as_str(),
            None => expressions.next().map_or("…", String::as_str),
        });
        let parts: Vec<_> = parts.collect();
        match &self.key.condition {
            Some(condition) => format!("{} where {condition}", parts.join(", ")),
            None => parts.join(", "),
        }
    }
}

/// The unique keys of tenants' tables that have no tenant yet.
pub(super) fn keys<'g>(sketch: &Sketch<'g>) -> Vec<Key<'g>> {
    let mut keys = Vec::new();
    for (table, verdict) in sketch.in_order() {
        if !verdict.is_tenant() {
            continue;
        }
        for key in table.keys.iter().filter(|key| key.valid || !key.primary) {
            let has_tenant = key.has("tenant_id") && is_tenant_column(verdict);
            if !has_tenant {
                let kind = kind(sketch, table, verdict, key);
                keys.push(Key { table, key, kind });
            }
        }
    }
    keys
}

/// Whether the column `tenant_id` is by what the table refers to its tenant already.
pub(super) fn is_tenant_column(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::By { edge, .. } if edge.columns == ["tenant_id"])
}

fn kind(sketch: &Sketch<'_>, table: &Table, verdict: &Verdict, key: &UniqueKey) -> Kind {
    let columns: Vec<&Column> = (table.columns.iter())
        .filter(|column| key.has(&column.name) || named_in(&key.expressions, &column.name))
        .collect();
    let is_generated =
        !columns.is_empty() && key.is_plain() && columns.iter().all(|column| is_generated(column));
    if is_generated {
        return Kind::Generated;
    }
    let refers_by = |names: &[String]| names.iter().all(|name| key.has(name));
    let by_source = matches!(verdict, Verdict::By { edge, .. } if refers_by(&edge.columns));
    let by_tenant = (table.references.iter())
        .any(|to| sketch.is_tenant(&to.to) && to.to != table.name && refers_by(&to.columns));
    if by_source || by_tenant {
        return Kind::Within;
    }
    let own = columns.iter().filter(|column| {
        let refers = |to: &tenancy_sqlx::schema::ForeignKey| to.columns.contains(&column.name);
        !table.references.iter().any(refers) && holds_text(&column.type_name)
    });
    let named: Vec<_> = own.map(|column| words(&column.name)).collect();
    if named.iter().any(|words| is_credential(words)) {
        return Kind::Credential;
    }
    if named.iter().any(|words| is_identity(words)) {
        return Kind::Identity;
    }
    // A key of ids alone, which others refer to: whoever makes them up makes them unique.
    let is_id = |column: &&Column| column.type_name == "uuid" || words(&column.name) == ["id"];
    if key.primary && columns.iter().all(is_id) {
        return Kind::Generated;
    }
    Kind::Natural
}

/// Whether the database makes its values up.
fn is_generated(column: &Column) -> bool {
    let random = |default: &String| {
        let default = default.to_lowercase();
        ["uuid", "nextval(", "ulid", "cuid", "nanoid", "xid"]
            .iter()
            .any(|made| default.contains(made))
    };
    let of_uuid = column.type_name == "uuid" && !is_credential(&words(&column.name));
    let made_up = column.default.as_ref().is_some_and(random);
    column.identity.is_some()
        || column.sequence.is_some()
        || made_up && (of_uuid || words(&column.name) == ["id"])
        || made_up && column.type_name != "uuid" && !is_credential(&words(&column.name))
}

/// Whether a name stands in an expression as a word.
fn named_in(expressions: &[String], name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    expressions.iter().any(|expression| {
        expression.match_indices(name).any(|(at, _)| {
            let before = expression
                .get(..at)
                .and_then(|text| text.chars().next_back());
            let after = expression
                .get(at + name.len()..)
                .and_then(|text| text.chars().next());
            !before.is_some_and(part) && !after.is_some_and(part)
        })
    })
}

fn holds_text(type_name: &str) -> bool {
    let name = type_name.rsplit('.').next().unwrap_or(type_name);
    let name = name.split('(').next().unwrap_or(name);
    matches!(
        name,
        "text"
            | "character varying"
            | "character"
            | "citext"
            | "bytea"
            | "uuid"
            | "inet"
            | "bpchar"
    )
}

/// The words of a name: `apiKey` and `api_key` are `api` and `key`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        let turns = c == '_' || c == '-' || lower && c.is_uppercase();
        if turns && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c != '_' && c != '-') {
            word.extend(c.to_lowercase());
        }
        lower = c.is_lowercase() || c.is_numeric();
    }
    words
}

fn is_credential(words: &[String]) -> bool {
    let has = |of: &[&str]| words.iter().any(|word| of.contains(&word.as_str()));
    let ends = |with: &str| words.last().is_some_and(|word| word == with);
    if ends("id") {
        return false;
    }
    let secret = [
        "token",
        "tokens",
        "secret",
        "hash",
        "hashed",
        "digest",
        "password",
        "passwd",
        "apikey",
        "otp",
        "nonce",
        "credential",
        "verifier",
        "challenge",
        "fingerprint",
        "signature",
        "jti",
    ];
    let of_key = [
        "api", "access", "secret", "private", "public", "license", "licence", "signing", "client",
        "ssh",
    ];
    let of_code = [
        "auth",
        "authorization",
        "invite",
        "invitation",
        "verification",
        "reset",
        "access",
        "confirmation",
        "recovery",
        "device",
        "user",
        "backup",
        "login",
        "activation",
    ];
    has(&secret) || ends("key") && has(&of_key) || ends("code") && has(&of_code)
}

fn is_identity(words: &[String]) -> bool {
    let has = |of: &[&str]| words.iter().any(|word| of.contains(&word.as_str()));
    let ends = |with: &str| words.last().is_some_and(|word| word == with);
    let who = [
        "email",
        "mail",
        "username",
        "login",
        "handle",
        "domain",
        "subdomain",
        "host",
        "hostname",
        "slug",
        "url",
        "uri",
        "phone",
        "nickname",
    ];
    !ends("id") && has(&who) || ends("name") && has(&["user", "screen", "host", "domain"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_key_is_for() {
        for name in [
            "token",
            "api_key",
            "apiKey",
            "secretHash",
            "invite_code",
            "key_hash",
            "refreshToken",
            "jti",
        ] {
            assert!(is_credential(&words(name)), "{name}");
        }
        for name in [
            "token_id",
            "code",
            "key",
            "country_code",
            "keyboard",
            "tokenizer",
            "hashtag",
        ] {
            assert!(!is_credential(&words(name)), "{name}");
        }
        for name in [
            "email",
            "Email",
            "user_name",
            "customDomain",
            "slug",
            "base_url",
            "phone",
        ] {
            assert!(is_identity(&words(name)), "{name}");
        }
        for name in ["name", "email_id", "title", "hostile", "user_id"] {
            assert!(!is_identity(&words(name)), "{name}");
        }
    }

    #[test]
    fn a_column_is_found_in_an_expression_as_a_word() {
        let expressions = ["lower((email)::text)".to_owned(), "\"Name\"".to_owned()];
        assert!(named_in(&expressions, "email") && named_in(&expressions, "Name"));
        assert!(!named_in(&expressions, "mail") && !named_in(&expressions, "e"));
    }
}

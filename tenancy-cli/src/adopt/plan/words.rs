//! What is said of a table in a few words, in the table, the tree and the picture alike.

use tenancy_sqlx::schema::CatalogName;

use super::{
    draft::Draft,
    sketch::{Edge, Known, Unknown, Verdict},
};

/// What is decided of a table, as a word and a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Root,
    Tenant,
    Shared,
    Closed,
    Asked,
}

impl Standing {
    pub(super) const ALL: [Self; 5] = [
        Self::Root,
        Self::Tenant,
        Self::Shared,
        Self::Closed,
        Self::Asked,
    ];

    /// For programs, and as a class of the picture.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Tenant => "tenant",
            Self::Shared => "shared",
            Self::Closed => "closed",
            Self::Asked => "asked",
        }
    }

    /// For people.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Root => "each row is a tenant",
            Self::Tenant => "rows of tenants",
            Self::Shared => "shared: the same for all tenants",
            Self::Closed => "closed to the service",
            Self::Asked => "asked",
        }
    }
}

/// How a table stands in a plan.
pub(super) fn standing(draft: &Draft<'_>, name: &CatalogName, verdict: &Verdict) -> Standing {
    match verdict {
        _ if draft.asks(name) => Standing::Asked,
        Verdict::Root => Standing::Root,
        Verdict::One | Verdict::By { .. } => Standing::Tenant,
        Verdict::Shared => Standing::Shared,
        Verdict::Closed { .. } => Standing::Closed,
        Verdict::Open(_) => Standing::Asked,
    }
}

/// From where its rows get their tenant, in a few words.
pub(super) fn source(verdict: &Verdict) -> String {
    match verdict {
        Verdict::One => "the one tenant".to_owned(),
        Verdict::Root => "each row is a tenant".to_owned(),
        Verdict::By { edge, known, also } => {
            let also: Vec<_> = also.iter().map(reference).collect();
            let also = match also.is_empty() {
                true => String::new(),
                false => format!("; also {}", also.join(", ")),
            };
            format!("{}{}{also}", reference(edge), how(edge, known))
        }
        Verdict::Shared => "shared".to_owned(),
        Verdict::Closed { why: None } => "closed".to_owned(),
        Verdict::Closed { why: Some(why) } => format!("closed: {why}"),
        Verdict::Open(Unknown::ReferredTo) => "only referred to".to_owned(),
        Verdict::Open(Unknown::Isolated) => "no reference from it or to it".to_owned(),
        Verdict::Open(Unknown::Other) => "refers to no tenant's row".to_owned(),
    }
}

/// The same without the other references.
pub(super) fn short_source(verdict: &Verdict) -> String {
    match verdict {
        Verdict::By { edge, known, .. } => {
            format!("by {}{}", edge.columns.join(", "), how(edge, known))
        }
        other => source(other),
    }
}

fn reference(edge: &Edge) -> String {
    format!("{} → {}", edge.columns.join(", "), edge.to.plain())
}

fn how(edge: &Edge, known: &Known) -> String {
    let otherwise = edge.otherwise.map(|id| format!(", null is {id}"));
    let how = match known {
        Known::Required => "",
        Known::Answered => " (answered)",
        Known::Inherited(_) => " (inherited)",
        Known::Nullable => " (may be null)",
        Known::Soft => " (no foreign key)",
    };
    format!("{how}{}", otherwise.unwrap_or_default())
}

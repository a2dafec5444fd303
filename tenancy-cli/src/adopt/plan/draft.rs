//! The plan as it stands: what is decided, what is asked, and what needs a hand.

mod questions;

use std::collections::BTreeMap;

use tenancy_sqlx::schema::{CatalogName, TableGraph};

use super::{
    data::{Data, Fault},
    hands::{Hand, hands},
    keys::{Key, Kind},
    lines::Lines,
    sketch::{Sketch, Verdict},
};
use crate::adopt::{
    answers::Choices,
    decision::{Decisions, Holds, KeyDecision, Reference, Rows, Source, TableDecision, Tenants},
};

/// The form of the file of decisions.
const VERSION: u32 = 1;

/// Something that somebody has to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// What kind of question it is, for programs.
    pub(super) code: &'static str,
    pub(super) about: String,
    pub(super) text: String,
    /// What answers it in `tenancy.toml`; `None` where the data has to be mended.
    pub(super) answer: Option<Lines>,
}

/// What becomes of a key.
#[derive(Debug, Clone)]
pub(super) struct DraftKey<'g> {
    pub(super) key: Key<'g>,
    /// `None` if it is asked.
    pub(super) holds: Option<Holds>,
}

/// The plan.
#[derive(Debug)]
pub(super) struct Draft<'g> {
    pub(super) tenants: Tenants,
    pub(super) sketch: Sketch<'g>,
    pub(super) keys: Vec<DraftKey<'g>>,
    pub(super) hands: Vec<Hand>,
    pub(super) questions: Vec<Question>,
    pub(super) faults: BTreeMap<CatalogName, Vec<Fault>>,
}

impl<'g> Draft<'g> {
    pub(super) fn new(
        tenants: Tenants,
        sketch: Sketch<'g>,
        keys: Vec<Key<'g>>,
        data: Data,
        choices: &Choices,
    ) -> Self {
        let keys: Vec<_> = keys
            .into_iter()
            .map(|key| {
                let answer = choices.keys.get(&key.name()).map(|answer| answer.value);
                let default = (!key.kind.is_asked()).then_some(Holds::Tenant);
                let holds = answer.or(default);
                DraftKey { key, holds }
            })
            .collect();
        let everywhere: Vec<_> = (keys.iter())
            .filter(|key| key.holds == Some(Holds::Everywhere))
            .map(|key| key.key.name())
            .collect();
        let hands = hands(&sketch, &everywhere);
        let mut draft = Self {
            tenants,
            sketch,
            keys,
            hands,
            questions: Vec::new(),
            faults: data.faults,
        };
        draft.questions = questions::questions(&draft, &data.counts);
        draft
    }

    /// Whether nothing is asked, and nothing has to be mended first.
    pub(super) fn is_complete(&self) -> bool {
        self.questions.is_empty() && !self.hands.iter().any(|hand| hand.first)
    }

    /// Whether something is asked of a table.
    pub(super) fn asks(&self, table: &CatalogName) -> bool {
        let plain = table.plain();
        self.questions
            .iter()
            .any(|question| question.about == plain)
    }

    /// How many tables are decided.
    pub(super) fn decided(&self) -> usize {
        let tables = self.sketch.tables.keys();
        tables.filter(|table| !self.asks(table)).count()
    }

    /// The decisions for the run, of a plan that is complete.
    pub(super) fn decisions(&self, graph: &TableGraph) -> Decisions {
        let mut tables = Vec::new();
        for (table, verdict) in self.sketch.in_order() {
            let rows = match verdict {
                Verdict::One => Rows::Tenant {
                    source: Source::One,
                },
                Verdict::Root => Rows::Tenant {
                    source: Source::Root,
                },
                Verdict::By { edge, also, .. } => Rows::Tenant {
                    source: Source::Reference {
                        by: edge.into(),
                        also: also.iter().map(Reference::from).collect(),
                        otherwise: edge.otherwise,
                    },
                },
                Verdict::Shared => Rows::Shared,
                // What is not known is never open; a plan that has it is not written.
                Verdict::Closed { .. } | Verdict::Open(_) => Rows::Closed,
            };
            let keys = self
                .keys
                .iter()
                .filter(|key| key.key.table.name == table.name);
            let keys = keys.map(|key| KeyDecision {
                index: key.key.key.index.clone(),
                holds: key.holds.unwrap_or(Holds::Tenant),
            });
            tables.push(TableDecision {
                table: (&table.name).into(),
                rows,
                definition: table.digest(),
                keys: keys.collect(),
            });
        }
        Decisions {
            version: VERSION,
            tenants: self.tenants.clone(),
            tables,
            schema: graph.digest(self.sketch.tables.keys().copied()),
        }
    }

    /// Keys of a kind that is worth a look.
    pub(super) fn keys_to_look_at(&self) -> impl Iterator<Item = &DraftKey<'g>> {
        self.keys.iter().filter(|key| {
            let silent = matches!(key.key.kind, Kind::Generated | Kind::Within);
            !silent || key.holds == Some(Holds::Everywhere)
        })
    }
}

impl From<&super::sketch::Edge> for Reference {
    fn from(edge: &super::sketch::Edge) -> Self {
        Self {
            columns: edge.columns.clone(),
            to: (&edge.to).into(),
            to_columns: edge.to_columns.clone(),
        }
    }
}

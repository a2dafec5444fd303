//! By which references rows lead to those of another table.

use std::collections::{BTreeMap, BTreeSet};

use super::{CatalogName, ForeignKey, TableGraph};

/// References one after another that lead from a table to another; made by [`TableGraph::ways_to`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Way {
    /// The references in their order. There is one at least.
    pub steps: Vec<Step>,
}

impl Way {
    /// Whether each row of the first table leads to one of the last: no column on the way can be null.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.steps.iter().all(|step| step.required)
    }
}

/// One reference of a [`Way`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The table that refers.
    pub from: CatalogName,
    /// The name of its foreign key.
    pub foreign_key: String,
    /// The table to which it refers.
    pub to: CatalogName,
    /// Whether its columns can't be null.
    pub required: bool,
}

impl TableGraph {
    /// The ways from each table to this one: for each foreign key of a table, the shortest way that begins with it.
    ///
    /// Those without a null come first, then the shorter ones. Tables without a way are left out, as is the table itself.
    /// A way never comes through a table twice.
    #[must_use]
    pub fn ways_to(&self, root: &CatalogName) -> BTreeMap<&CatalogName, Vec<Way>> {
        let nearest = self.nearest(root);
        let mut all = BTreeMap::new();
        for table in self.tables.iter().filter(|table| table.name != *root) {
            let mut ways: Vec<_> = (table.references.iter())
                .filter(|reference| reference.to != table.name)
                .filter_map(|reference| {
                    let step = step(table, reference);
                    let rest = nearest.get(&reference.to)?;
                    let returns = rest.steps.iter().any(|next| next.from == table.name);
                    let steps = std::iter::once(step).chain(rest.steps.iter().cloned());
                    (!returns).then(|| Way {
                        steps: steps.collect(),
                    })
                })
                .collect();
            ways.sort_by_key(|way| (!way.is_required(), way.steps.len()));
            if !ways.is_empty() {
                all.insert(&table.name, ways);
            }
        }
        all
    }

    /// The nearest way from each table, those without a null first; that of the root itself has no step.
    fn nearest(&self, root: &CatalogName) -> BTreeMap<CatalogName, Way> {
        let mut nearest = BTreeMap::from([(root.clone(), Way { steps: Vec::new() })]);
        for with_nulls in [false, true] {
            loop {
                let known: BTreeSet<_> = nearest.keys().cloned().collect();
                let mut found = BTreeMap::new();
                for table in &self.tables {
                    if known.contains(&table.name) {
                        continue;
                    }
                    let steps = (table.references.iter()).filter_map(|reference| {
                        let rest = nearest.get(&reference.to)?;
                        let step = step(table, reference);
                        (step.required || with_nulls).then(|| Way {
                            steps: std::iter::once(step)
                                .chain(rest.steps.iter().cloned())
                                .collect(),
                        })
                    });
                    if let Some(way) = steps.min_by_key(|way| way.steps.len()) {
                        found.insert(table.name.clone(), way);
                    }
                }
                if found.is_empty() {
                    break;
                }
                nearest.extend(found);
            }
        }
        nearest
    }
}

fn step(table: &super::Table, reference: &ForeignKey) -> Step {
    Step {
        from: table.name.clone(),
        foreign_key: reference.name.clone(),
        to: reference.to.clone(),
        required: table.requires(&reference.columns),
    }
}

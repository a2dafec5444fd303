//! Tables in an order in which each follows those to which it refers.

use std::collections::{BTreeMap, BTreeSet};

use super::{CatalogName, TableGraph};

/// Tables in an order; made by [`TableGraph::order`].
///
/// ```
/// use tenancy_sqlx::schema::TableGraph;
///
/// let order = TableGraph::default().order();
/// assert!(order.tables.is_empty() && order.cycles.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TableOrder {
    /// All tables: a table comes after those to which it refers, from which it inherits, or of which it is a partition. Those
    /// of a cycle stand beside each other, by name.
    pub tables: Vec<CatalogName>,
    /// The tables of each cycle. A table that refers to itself is none.
    pub cycles: Vec<Vec<CatalogName>>,
}

impl TableGraph {
    /// The tables in an order in which to copy or fill them; backwards, to delete from them.
    #[must_use]
    pub fn order(&self) -> TableOrder {
        let mut waiting = self.referred();
        let mut order = TableOrder::default();
        while !waiting.is_empty() {
            let ready: Vec<_> = (waiting.iter())
                .filter(|(_, referred)| referred.is_empty())
                .map(|(name, _)| *name)
                .collect();
            let next = if ready.is_empty() {
                let cycle = innermost(&waiting);
                order.cycles.push(cycle.iter().copied().cloned().collect());
                cycle
            } else {
                ready
            };
            for name in &next {
                waiting.remove(name);
            }
            for referred in waiting.values_mut() {
                for name in &next {
                    referred.remove(name);
                }
            }
            order.tables.extend(next.into_iter().cloned());
        }
        order
    }

    /// To which other tables of the graph each refers.
    fn referred(&self) -> BTreeMap<&CatalogName, BTreeSet<&CatalogName>> {
        let known: BTreeSet<_> = self.tables.iter().map(|table| &table.name).collect();
        let of = |table: &'_ super::Table| -> Vec<CatalogName> {
            let by_key = table.references.iter().map(|reference| &reference.to);
            let above = table.partition_of.iter().chain(&table.inherits);
            by_key.chain(above).cloned().collect()
        };
        let mut all = BTreeMap::new();
        for table in &self.tables {
            let referred: BTreeSet<_> = of(table)
                .into_iter()
                .filter(|to| *to != table.name)
                .filter_map(|to| known.get(&to).copied())
                .collect();
            all.insert(&table.name, referred);
        }
        all
    }
}

/// A cycle of tables that refer to no others of those that wait.
fn innermost<'g>(
    waiting: &BTreeMap<&'g CatalogName, BTreeSet<&'g CatalogName>>,
) -> Vec<&'g CatalogName> {
    let reached = |from: &'g CatalogName| {
        let mut seen = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            for to in waiting.get(name).into_iter().flatten() {
                if seen.insert(to) {
                    open.push(to);
                }
            }
        }
        seen
    };
    let all = waiting.keys().map(|name| reached(name));
    // Who reaches the fewest reaches its own cycle alone.
    let fewest = all.min_by_key(BTreeSet::len);
    fewest.into_iter().flatten().collect()
}

//! Lists: an aligned table for people, or JSON lines, a page at a time.

use serde_json::Value;

use crate::{
    failure::Failure,
    output::{Output, plain},
};

/// A row: what people see in its columns, and the object that programs get.
pub(crate) type Row = (Vec<String>, Value);

/// A table of which the number of rows is not known.
#[derive(Debug)]
pub(crate) struct Table {
    heads: &'static [&'static str],
    widths: Vec<usize>,
    is_begun: bool,
}

impl Table {
    pub(crate) fn new(heads: &'static [&'static str]) -> Self {
        Self {
            heads,
            widths: heads.iter().map(|head| head.len()).collect(),
            is_begun: false,
        }
    }

    /// Prints some more rows. Columns are as wide as the widest cell so far.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub(crate) async fn rows(
        &mut self,
        rows: impl IntoIterator<Item = Row>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let rows: Vec<Row> = rows.into_iter().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        if output.is_json() {
            for (_, json) in &rows {
                lines.push_str(&json.to_string());
                lines.push('\n');
            }
        } else {
            let cells: Vec<Vec<String>> = rows
                .into_iter()
                .map(|(cells, _)| cells.iter().map(|cell| plain(cell)).collect())
                .collect();
            for row in &cells {
                for (width, cell) in self.widths.iter_mut().zip(row) {
                    *width = (*width).max(cell.chars().count());
                }
            }
            if !self.is_begun && !output.is_quiet() {
                let heads: Vec<_> = self.heads.iter().map(|head| (*head).to_owned()).collect();
                lines.push_str(&self.line(&heads));
            }
            for row in &cells {
                lines.push_str(&self.line(row));
            }
        }
        self.is_begun = true;
        output.write(&lines).await?;
        Ok(())
    }

    /// Says that there was no row, if there was none.
    pub(crate) fn end(&self, output: &Output, nothing: &str) {
        if !self.is_begun {
            output.remark(nothing);
        }
    }

    fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (width, cell) in self.widths.iter().zip(cells) {
            line.push_str(cell);
            let missing = width.saturating_sub(cell.chars().count());
            line.push_str(&" ".repeat(missing + 2));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// A cell: nothing is a dash.
pub(crate) fn cell(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(&["ID", "NAME"]);
        table.widths = vec![4, 6];
        let row = |cells: [&str; 2]| table.line(&cells.map(str::to_owned));
        assert_eq!(row(["ID", "NAME"]), "ID    NAME\n");
        assert_eq!(row(["ä", "Bö"]), "ä     Bö\n");
    }
}

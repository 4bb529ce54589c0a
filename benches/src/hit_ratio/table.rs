use std::fmt;

/// Figures in rows and columns, as a table in Markdown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The heading of the first column, then one for each figure of a row.
    pub headings: Vec<String>,
    /// The name of each row, and its figures; `None` where one was not measured.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(headings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            headings: headings.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// The first table in the text below a line that begins with this one. Cells that are no
    /// numbers are `None`.
    #[must_use]
    pub fn below(text: &str, line: &str) -> Option<Self> {
        let mut lines = text.lines().skip_while(|other| !other.starts_with(line));
        let mut rows = lines
            .by_ref()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .map(cells);
        let mut table = Self::new(rows.next()?);
        table.rows = rows.skip(1).filter_map(row).collect();
        Some(table)
    }

    /// The figure in this row and below this heading.
    #[must_use]
    pub fn figure(&self, row: &str, heading: &str) -> Option<f64> {
        let column = self
            .headings
            .iter()
            .skip(1)
            .position(|name| name == heading)?;
        let (_, figures) = self.rows.iter().find(|(name, _)| name == row)?;
        figures.get(column).copied().flatten()
    }
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_matches('|');
    inner
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

fn row(cells: Vec<String>) -> Option<(String, Vec<Option<f64>>)> {
    let mut cells = cells.into_iter();
    let name = cells.next()?;
    Some((name, cells.map(|cell| cell.parse().ok()).collect()))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {} |", self.headings.join(" | "))?;
        writeln!(
            f,
            "|--{}|",
            "|--:".repeat(self.headings.len().saturating_sub(1))
        )?;
        for (name, figures) in &self.rows {
            write!(f, "| {name} |")?;
            for figure in figures {
                match figure {
                    Some(figure) => write!(f, " {figure:.2} |")?,
                    None => write!(f, " |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_what_it_wrote() {
        let mut table = Table::new(["pair", "lru", "paged"]);
        table
            .rows
            .push(("web @ 300".to_owned(), vec![Some(41.5), None]));
        let text = format!("# Pairs\n\n| other |\n|--|\n\n## Mine\n\n{table}\nAfter.\n\n| no |\n");
        let read = Table::below(&text, "## Mine").unwrap();
        assert_eq!(read, table);
        assert_eq!(read.figure("web @ 300", "lru"), Some(41.5));
        assert_eq!(read.figure("web @ 300", "paged"), None);
        assert_eq!(read.figure("web @ 300", "moka"), None);
    }

    #[test]
    fn a_text_without_the_heading_has_no_table() {
        assert_eq!(Table::below("| a |\n|--|\n", "## Mine"), None);
    }
}

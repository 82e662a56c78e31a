//! Tables and lists of fields, as text.

use comfy_table::{ContentArrangement, Table as Grid, presets::NOTHING};

/// A table with a head. Lines are as long as their cells: a terminal folds them, and nothing is cut off.
pub struct Table(Grid);

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(head: &[&str]) -> Table {
        let mut grid = Grid::new();
        grid.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
        Table(grid)
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[String]) {
        self.0.add_row(cells);
    }

    /// The table as text, no line ending in blanks.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.to_string().lines().flat_map(|line| [line.trim(), "\n"]).collect()
    }
}

/// Names and values in two columns, indented under a heading of the caller's.
#[must_use]
pub fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = fields.iter().map(|(name, value)| format!("  {name:width$}  {value}\n")).collect();
    lines.concat()
}

//! Columns of text.

use super::{Screen, Tone};

/// Rows under headings, each column as wide as its widest text.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// One text of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            text: one_line(&text.into()),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Tone::Plain, text)
    }
}

impl Table {
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        let headings = headings.map(|heading| Cell::new(Tone::Quiet, heading));
        Self {
            rows: vec![headings.to_vec()],
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.to_vec());
    }

    pub(crate) fn render(&self, screen: Screen) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.chars().count()).max()
        };
        let widths: Vec<_> = (0..columns)
            .map(|column| width(column).unwrap_or(0))
            .collect();
        self.rows
            .iter()
            .map(|row| render_row(row, &widths, screen))
            .collect()
    }
}

fn render_row(row: &[Cell], widths: &[usize], screen: Screen) -> String {
    let mut line = String::new();
    let last = row.iter().rposition(|cell| !cell.text.is_empty());
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        if Some(column) > last {
            break;
        }
        line += &screen.paint(cell.tone, &cell.text);
        if Some(column) != last {
            let padding = width - cell.text.chars().count() + 2;
            line.extend(std::iter::repeat_n(' ', padding));
        }
    }
    line.push('\n');
    line
}

/// Names come from elsewhere: they must not move the cursor.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_without_spaces() {
        let mut table = Table::new(["ID", "NAME", ""]);
        table.row(["1".into(), "ä\u{1b}x".into(), "".into()]);
        table.row(["100".into(), "b".into(), "last".into()]);
        assert_eq!(
            table.render(Screen::plain()),
            "ID   NAME\n1    ä x\n100  b     last\n"
        );
    }
}

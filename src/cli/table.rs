//! Tables: columns of text, as wide as needed and as narrow as the terminal.

use super::output::{Ink, Style};
use super::text::{fit, one_line, width};

/// No flexible column gets narrower than this.
const LEAST_WIDTH: usize = 12;

/// Blanks between columns.
const GAP: &str = "  ";

/// A column's head, and what it does in a narrow terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    head: &'static str,
    is_number: bool,
    is_flexible: bool,
}

impl Column {
    /// Text that is never cut.
    pub(super) fn text(head: &'static str) -> Self {
        Self { head, is_number: false, is_flexible: false }
    }

    /// Numbers, flush right.
    pub(super) fn number(head: &'static str) -> Self {
        Self { head, is_number: true, is_flexible: false }
    }

    /// Text that is cut where the terminal ends.
    pub(super) fn flexible(head: &'static str) -> Self {
        Self { head, is_number: false, is_flexible: true }
    }
}

/// One field: text without active characters, and its ink.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    ink: Ink,
}

impl Cell {
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self::inked(text, Ink::Plain)
    }

    pub(super) fn inked(text: impl AsRef<str>, ink: Ink) -> Self {
        Self { text: one_line(text.as_ref()), ink }
    }
}

/// Rows below heads.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<(Vec<Cell>, Option<Cell>)>,
}

impl Table {
    pub(super) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub(super) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push((cells.into(), None));
    }

    /// Adds a row with a second line below its last cell.
    pub(super) fn row_with_note(&mut self, cells: impl Into<Vec<Cell>>, note: Cell) {
        self.rows.push((cells.into(), Some(note).filter(|note| !note.text.is_empty())));
    }

    /// The table as text, a line feed at its end.
    pub(super) fn render(&self, style: Style) -> String {
        let widths = self.widths(style.width);
        let indent = widths.iter().rev().skip(1).map(|width| width + GAP.len()).sum::<usize>();
        let heads = self.columns.iter().map(|column| Cell::inked(column.head, Ink::Dim));
        let mut lines = vec![self.line(&heads.collect::<Vec<_>>(), &widths, style)];
        for (cells, note) in &self.rows {
            lines.push(self.line(cells, &widths, style));
            if let Some(note) = note {
                let room = style.width.map_or(usize::MAX, |all| all.saturating_sub(indent));
                let text = fit(&note.text, room.max(LEAST_WIDTH));
                lines.push(format!("{}{}", " ".repeat(indent), style.ink(note.ink, &text)));
            }
        }
        lines.join("\n") + "\n"
    }

    fn line(&self, cells: &[Cell], widths: &[usize], style: Style) -> String {
        let last = self.columns.len().saturating_sub(1);
        let padded = self.columns.iter().zip(cells).zip(widths).enumerate();
        let padded = padded.map(|(at, ((column, cell), most))| {
            let text = fit(&cell.text, *most);
            let blanks = " ".repeat(most.saturating_sub(width(&text)));
            let text = style.ink(cell.ink, &text);
            match (column.is_number, at == last) {
                (true, _) => blanks + &text,
                (false, true) => text,
                (false, false) => text + &blanks,
            }
        });
        padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    }

    fn widths(&self, all: Option<usize>) -> Vec<usize> {
        let natural = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|(cells, _)| cells.get(at));
            let widest = cells.map(|cell| width(&cell.text)).max().unwrap_or_default();
            widest.max(width(column.head))
        };
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(natural).collect();
        let Some(all) = all else { return widths };
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        // The widest flexible column gives, one at a time, until all fit or none can give.
        while widths.iter().sum::<usize>() + gaps > all {
            let flexible = widths.iter_mut().zip(&self.columns);
            let widest = flexible
                .filter(|(width, column)| column.is_flexible && **width > LEAST_WIDTH)
                .map(|(width, _)| width)
                .max();
            let Some(widest) = widest else { break };
            *widest -= 1;
        }
        widths
    }
}

/// Labels and what they stand for, one a line, the values below each other.
pub(super) fn fields(style: Style, fields: &[(&str, String)]) -> Vec<String> {
    let widest = fields.iter().map(|(label, _)| width(label)).max().unwrap_or_default();
    let line = |(label, value): &(&str, String)| {
        let blanks = " ".repeat(widest - width(label));
        format!("{}{blanks}{GAP}{value}", style.ink(Ink::Dim, label)).trim_end().to_owned()
    };
    fields.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_flexible_column_gives_first() {
        let mut table =
            Table::new([Column::number("N"), Column::flexible("ONE"), Column::flexible("OTHER")]);
        table.row([Cell::new("7"), Cell::new("a".repeat(40)), Cell::new("b".repeat(20))]);
        let narrow = Style { width: Some(50), is_coloured: false };
        insta::assert_snapshot!(table.render(narrow), @"
        N  ONE                        OTHER
        7  aaaaaaaaaaaaaaaaaaaaaaaa…  bbbbbbbbbbbbbbbbbbbb
        ");
        let none_fits = Style { width: Some(10), is_coloured: false };
        insta::assert_snapshot!(table.render(none_fits), @"
        N  ONE           OTHER
        7  aaaaaaaaaaa…  bbbbbbbbbbb…
        ");
    }

    #[test]
    fn colours_do_not_shift_columns() {
        let mut table = Table::new([Column::text("LEVEL"), Column::flexible("TITLE")]);
        table.row([Cell::inked("在庫", Ink::Red), Cell::new("stock\nlow")]);
        let coloured = Style { width: None, is_coloured: true };
        let expected =
            "\x1b[2mLEVEL\x1b[0m  \x1b[2mTITLE\x1b[0m\n\x1b[31m在庫\x1b[0m   stock\\nlow\n";
        assert_eq!(table.render(coloured), expected);
    }
}

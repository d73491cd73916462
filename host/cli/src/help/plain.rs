//! Texts for a terminal.

use unicode_width::UnicodeWidthStr;

use super::markdown::{Block, plain_text};

/// The least that the last column of a table gets.
const LEAST: usize = 20;

/// Writes a text in lines of at most so many columns, but for code, which is not broken.
pub(crate) fn show(blocks: &[Block], columns: usize) -> String {
    let parts: Vec<String> = blocks.iter().map(|block| one(block, columns)).collect();
    parts.join("\n")
}

fn one(block: &Block, columns: usize) -> String {
    match block {
        Block::Heading { level: 1, text } => {
            let text = plain_text(text);
            format!("{text}\n{}\n", "=".repeat(text.width()))
        }
        Block::Heading { text, .. } => format!("{}\n", plain_text(text)),
        Block::Paragraph(text) => lines(&plain_text(text), "", columns),
        Block::List(items) => {
            items.iter().map(|item| hung(&format!("- {}", plain_text(item)), 2, columns)).collect()
        }
        Block::Code(code) => code
            .iter()
            .map(|line| format!("    {line}"))
            .map(|line| format!("{}\n", line.trim_end()))
            .collect(),
        Block::Table(rows) => table(rows, columns),
    }
}

/// Writes rows in columns as wide as what is in them; the last one is broken. Where too little is left for it, each row is a list.
fn table(rows: &[Vec<String>], columns: usize) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| plain_text(cell)).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
    let before: usize =
        (0..count.saturating_sub(1)).map(|column| width(column).unwrap_or_default() + 2).sum();
    if before + LEAST > columns {
        let (head, rows) = rows.split_first().map_or((&[][..], &[][..]), |(head, rows)| (&head[..], rows));
        let row = |row: &Vec<String>| {
            let cells = head.iter().zip(row).filter(|(_, cell)| !cell.is_empty()).enumerate();
            let cells = cells.map(|(place, (name, cell))| match (place, name.is_empty()) {
                (0, _) => lines(cell, "", columns),
                (_, true) => lines(cell, "    ", columns),
                _ => lines(&format!("{name}: {cell}"), "    ", columns),
            });
            cells.collect::<String>()
        };
        return rows.iter().map(row).collect();
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if column + 1 < row.len() {
                let missing = (width(column).unwrap_or_default() + 2).saturating_sub(cell.width());
                line.push_str(&" ".repeat(missing));
            }
        }
        text.push_str(&hung(&line, before, columns));
    }
    text
}

/// Breaks a text whose first `indent` columns stay as they are; what follows is set in by as many.
fn hung(text: &str, indent: usize, columns: usize) -> String {
    let mut width = 0;
    let at = text.char_indices().find(|(_, c)| {
        let is_there = width >= indent;
        width += unicode_width::UnicodeWidthChar::width(*c).unwrap_or_default();
        is_there
    });
    let (front, rest) = text.split_at(at.map_or(text.len(), |(at, _)| at));
    let broken = lines(rest, &" ".repeat(indent), columns);
    format!("{front}{}\n", broken.trim()).lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Breaks a text between words, and sets each line in.
fn lines(text: &str, indent: &str, columns: usize) -> String {
    let mut broken = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent.width() + line.width() + 1 + word.width() > columns {
            broken.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    format!("{broken}{indent}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::help::parse;

    const TEXT: &str = "# Things\n\nOf *this* and `that`, in one paragraph.\n\n- a long item that is broken\n- short\n\n\
                        ```\nnot broken, whatever the width is\n```\n\n| name | meaning |\n|---|---|\n| `a` | one thing or another |\n";

    #[test]
    fn texts_are_broken_where_the_terminal_ends() {
        assert_eq!(
            show(&parse(TEXT), 30),
            "Things\n======\n\nOf *this* and that, in one\nparagraph.\n\n- a long item that is broken\n- short\n\n    \
             not broken, whatever the width is\n\nname  meaning\na     one thing or another\n"
        );
        assert_eq!(
            show(&parse(TEXT), 20),
            "Things\n======\n\nOf *this* and that,\nin one paragraph.\n\n- a long item that\n  is broken\n- short\n\n    \
             not broken, whatever the width is\n\na\n    meaning: one\n    thing or another\n"
        );
    }

    #[test]
    fn words_are_not_lost() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let text = "a bb ccc dddd eeeee ffffff ggggggg";
        for columns in 1..40 {
            assert_eq!(words(&lines(text, "  ", columns)), words(text), "{columns}");
            assert_eq!(words(&hung(text, 2, columns)), words(text), "{columns}");
        }
    }
}

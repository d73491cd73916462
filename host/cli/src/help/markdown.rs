//! As much of Markdown as our own texts use: headings, paragraphs, lists, tables and blocks of code.

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// `# …`
    Heading {
        /// 1 for the title.
        level: usize,
        /// Without the marks.
        text: String,
    },
    /// Lines that belong together, joined.
    Paragraph(String),
    /// `- …`, each with its lines joined.
    List(Vec<String>),
    /// Lines between fences, as they are.
    Code(Vec<String>),
    /// Rows of cells, the head first.
    Table(Vec<Vec<String>>),
}

/// Reads a text. Marks within a line stay; [`plain_text`] takes them away.
pub(crate) fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        let is_remark = trimmed.starts_with("<!--") && trimmed.ends_with("-->");
        if trimmed.is_empty() || is_remark {
            continue;
        }
        if trimmed.starts_with("```") {
            let code = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```"));
            blocks.push(Block::Code(code.map(str::to_owned).collect()));
        } else if let Some((marks, rest)) = line.split_once(' ').filter(|(marks, _)| is_heading(marks)) {
            blocks.push(Block::Heading { level: marks.len(), text: rest.trim().to_owned() });
        } else if trimmed.starts_with('|') {
            let mut rows = vec![cells(trimmed)];
            while let Some(row) = lines.next_if(|line| line.trim_start().starts_with('|')) {
                rows.push(cells(row.trim()));
            }
            // The line below the head.
            rows.retain(|row| {
                !row.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| "-:".contains(c)))
            });
            blocks.push(Block::Table(rows));
        } else {
            let mut paragraph = trimmed.to_owned();
            let is_item = paragraph.starts_with("- ");
            let goes_on = |line: &&str| {
                let line = line.trim();
                let begins = ["- ", "|", "```"].iter().any(|mark| line.starts_with(mark));
                !line.is_empty() && !begins && !line.split(' ').next().is_some_and(is_heading)
            };
            while let Some(more) = lines.next_if(goes_on) {
                paragraph.push(' ');
                paragraph.push_str(more.trim());
            }
            match (is_item, blocks.last_mut()) {
                (true, Some(Block::List(items))) => items.push(paragraph[2..].to_owned()),
                (true, _) => blocks.push(Block::List(vec![paragraph[2..].to_owned()])),
                (false, _) => blocks.push(Block::Paragraph(paragraph)),
            }
        }
    }
    blocks
}

fn is_heading(marks: &str) -> bool {
    (1..=4).contains(&marks.len()) && marks.bytes().all(|b| b == b'#')
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim_start_matches('|');
    let row = row.strip_suffix('|').unwrap_or(row);
    // Within a cell it is written as `\|`.
    let row = row.replace("\\|", "\u{0}");
    row.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// Takes the marks within a line away: emphasis, code, and links, of which the text stays, and addresses that lead elsewhere.
pub(crate) fn plain_text(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(code) = rest.strip_prefix('`')
            && let Some(end) = code.find('`')
        {
            plain.push_str(&code[..end]);
            rest = &code[end + 1..];
        } else if let Some(bold) = rest.strip_prefix("**")
            && let Some(end) = bold.find("**")
        {
            plain.push_str(&plain_text(&bold[..end]));
            rest = &bold[end + 2..];
        } else if let Some((name, address, after)) = link(rest) {
            plain.push_str(&plain_text(name));
            if address.contains("://") && !name.contains(address) {
                plain.push_str(&format!(" ({address})"));
            }
            rest = after;
        } else {
            plain.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    plain.push_str(rest);
    plain
}

/// Splits `[name](address)…` into its parts.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (address, after) = rest.split_once(')')?;
    (!name.contains(['[', ']'])).then_some((name, address, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn what_our_texts_are_made_of() {
        let text = "<!-- a remark -->\n# A title\n\nOne\ntwo.\n- first\n  goes on\n- second\n\n```sh\n  as it is\n\n# no heading\n```\n\n\
                    | a | b |\n|---|:--|\n| `x\\|y` | z |\n\n## Next\n#hash\n";
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            parse(text),
            [
                Block::Heading { level: 1, text: "A title".to_owned() },
                Block::Paragraph("One two.".to_owned()),
                Block::List(row(&["first goes on", "second"])),
                Block::Code(row(&["  as it is", "", "# no heading"])),
                Block::Table(vec![row(&["a", "b"]), row(&["`x|y`", "z"])]),
                Block::Heading { level: 2, text: "Next".to_owned() },
                Block::Paragraph("#hash".to_owned()),
            ]
        );
    }

    #[rstest]
    #[case("as it is: 2 * 3 [x]", "as it is: 2 * 3 [x]")]
    #[case("`--from DIR` **and `this`**", "--from DIR and this")]
    #[case(
        "see [the guide](first-mirror.md#x), [x](https://x.example/y).",
        "see the guide, x (https://x.example/y)."
    )]
    #[case("`*` is anything, `**` too", "* is anything, ** too")]
    fn marks(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(plain_text(text), expected);
    }
}

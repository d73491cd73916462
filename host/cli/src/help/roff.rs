//! Texts as pages of `man`.

use super::markdown::{Block, plain_text};

/// Writes a text as a page of section 7.
pub(crate) fn page(name: &str, about: &str, version: &str, blocks: &[Block]) -> String {
    let mut page = format!(
        ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH {name} 7 \"\" \"oc-mirror {version}\"\n.SH NAME\n{name} \\- {}\n",
        escaped(about)
    );
    // What is before the first heading below the title has none of its own.
    page.push_str(".SH DESCRIPTION\n");
    for block in blocks {
        match block {
            Block::Heading { level: 1, .. } => {}
            Block::Heading { level: 2, text } => page.push_str(&format!(".SH {}\n", heading(text))),
            Block::Heading { text, .. } => page.push_str(&format!(".SS {}\n", heading(text))),
            Block::Paragraph(text) => page.push_str(&format!(".PP\n{}\n", escaped(&plain_text(text)))),
            Block::List(items) => {
                for item in items {
                    page.push_str(&format!(".IP \\(bu 2\n{}\n", escaped(&plain_text(item))));
                }
            }
            Block::Code(lines) => {
                page.push_str(".PP\n.RS 4\n.nf\n");
                lines.iter().for_each(|line| page.push_str(&format!("{}\n", escaped(line))));
                page.push_str(".fi\n.RE\n");
            }
            Block::Table(rows) => {
                for row in rows.iter().skip(1) {
                    let cells: Vec<String> = row.iter().map(|cell| escaped(&plain_text(cell))).collect();
                    let (first, rest) = cells.split_first().map_or(("", &[][..]), |(f, r)| (f.as_str(), r));
                    page.push_str(&format!(
                        ".TP\n\\fB{}\\fR\n{}\n",
                        first.trim_start_matches("\\&"),
                        rest.join("; ")
                    ));
                }
            }
        }
    }
    page
}

fn heading(text: &str) -> String {
    format!("\"{}\"", escaped(&plain_text(text).to_uppercase()).replace('"', "\\(dq"))
}

/// Returns a line in which nothing is a request or an escape.
pub(crate) fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::help::parse;

    #[test]
    fn a_page() {
        let text = "# T\n\nSome `--flag`.\n\n## More to say\n\n- .one\n\n```\n.TH \\x\n```\n\n| a | b |\n|---|---|\n| x | y |\n";
        assert_eq!(
            page("oc-mirror-t", "tea", "1.0", &parse(text)),
            ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH oc-mirror-t 7 \"\" \"oc-mirror 1.0\"\n.SH NAME\noc-mirror-t \\- tea\n\
             .SH DESCRIPTION\n.PP\nSome \\-\\-flag.\n.SH \"MORE TO SAY\"\n.IP \\(bu 2\n\\&.one\n.PP\n.RS 4\n.nf\n\\&.TH \\ex\n\
             .fi\n.RE\n.TP\n\\fBx\\fR\ny\n"
        );
    }
}

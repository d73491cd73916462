//! What the parser (gotmpl 0.6.1) does not look at: [`is_closed`] finds blocks without an end, and [`fit`] makes comments fit
//! for it: it takes `{{- /* … */}}` for `{{- /* … */ -}}`, and would swallow the line break behind it.

use std::borrow::Cow;

/// Rewrites comments that trim what is before them and not what is behind: the white space goes into the comment. Nothing
/// changes its place otherwise, so that errors name the right one.
pub(crate) fn fit(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = text[at..].find("{{") {
        let open = at + found;
        let after = &text[open + 2..];
        let trimmed = after.strip_prefix('-').filter(|rest| rest.starts_with(is_space));
        let inner = trimmed.unwrap_or(after).trim_start_matches(is_space);
        let Some(body) = inner.strip_prefix("/*") else {
            at = open + 2 + action_end(after);
            continue;
        };
        let begin = text.len() - body.len();
        let Some(end) = body.find("*/") else { break };
        at = begin + end + 2;
        let behind = text[at..].trim_start_matches(is_space);
        if trimmed.is_some() && behind.starts_with("}}") {
            let kept = text[..open].trim_end_matches(is_space).len().max(copied);
            out.push_str(&text[copied..kept]);
            out.push_str("{{/*");
            out.push_str(&text[kept..open]);
            // As many bytes as the delimiter and what stands between it and the comment had.
            out.push('-');
            out.push_str(&text[open + 3..begin - 2]);
            copied = begin;
        }
    }
    match copied {
        0 => Cow::Borrowed(text),
        _ => {
            out.push_str(&text[copied..]);
            Cow::Owned(out)
        }
    }
}

/// Answers whether every `if`, `range`, `with`, `define` and `block` has its `end`, which the parser does not look at.
pub(crate) fn is_closed(text: &str) -> bool {
    let (mut open, mut rest) = (0_i64, text);
    while let Some(found) = rest.find("{{") {
        let after = &rest[found + 2..];
        let inner = after.strip_prefix('-').unwrap_or(after).trim_start_matches(is_space);
        if let Some(body) = inner.strip_prefix("/*") {
            rest = body.find("*/").map_or("", |end| &body[end + 2..]);
            continue;
        }
        let word = inner.find(|c: char| !c.is_ascii_alphanumeric()).map_or(inner, |end| &inner[..end]);
        open += match word {
            "if" | "range" | "with" | "define" | "block" => 1,
            "end" => -1,
            _ => 0,
        };
        rest = &after[action_end(after)..];
    }
    open <= 0
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Returns where an action ends, its delimiter included. Quotes may have braces in them.
fn action_end(text: &str) -> usize {
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match (quote, c) {
            (Some('"' | '\''), '\\') => {
                characters.next();
            }
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '}') if text[at..].starts_with("}}") => return at + 2,
            (None, _) => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("{{ if 1 }}{{ else if 2 }}{{ end }}", true)]
    #[case("{{- with .x -}}{{ define \"d\" }}{{ end }}", false)]
    #[case("{{ \"{{ if }}\" }}{{/* {{ if }} */}}", true)]
    #[case("{{ ifx }}{{ .if }}", true)]
    fn blocks_that_end(#[case] text: &str, #[case] closed: bool) {
        assert_eq!(is_closed(text), closed);
    }

    #[rstest]
    #[case("a \n{{- /* c */}}\nb", "a{{/* \n-  c */}}\nb")]
    #[case("a \n{{- /* c */ -}}\nb", "a \n{{- /* c */ -}}\nb")]
    #[case("a {{/* c */}} b", "a {{/* c */}} b")]
    #[case("a {{- /* é\n */  }} b", "a{{/* -  é\n */  }} b")]
    #[case("{{ \"}} {{- /* no */}}\" }} {{- /* c */}}", "{{ \"}} {{- /* no */}}\" }}{{/* -  c */}}")]
    #[case("{{ end }}\n{{- /* 1 */}}\n{{- /* 2 */}}x", "{{ end }}{{/*\n-  1 */}}{{/*\n-  2 */}}x")]
    #[case("{{- .x }} y", "{{- .x }} y")]
    #[case("{{- /* open", "{{- /* open")]
    fn comments(#[case] text: &str, #[case] expected: &str) {
        let fit = fit(text);
        assert_eq!(fit, expected);
        assert_eq!(fit.len(), text.len());
    }
}

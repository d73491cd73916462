//! Rust source as a list of [`Token`]s: names and marks with their lines. Comments, strings and test code are gone, which
//! is all that is needed to find paths. It is not a parser: code that compiles is read rightly, other code somehow.

/// A name or a mark. `::` is one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// Returns the tokens of a source text.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { bytes: text.as_bytes(), at: 0, line: 1, found: Vec::new() };
    while lexer.at < lexer.bytes.len() {
        lexer.next();
    }
    lexer.found
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    found: Vec<Token>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn advance(&mut self, count: usize) {
        for _ in 0..count {
            self.line += usize::from(self.peek(0) == b'\n');
            self.at += 1;
        }
    }

    fn next(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (b'/', b'/') => self.skip_until(|l| l.peek(0) == b'\n'),
            (b'/', b'*') => self.skip_comment(),
            (b'"', _) => self.skip_string(),
            (b'\'', _) => self.skip_quote(),
            (b':', b':') => self.push(2),
            (byte, _) if byte.is_ascii_whitespace() => self.advance(1),
            (byte, _) if is_name(byte) => self.name(),
            _ => self.push(1),
        }
    }

    fn push(&mut self, length: usize) {
        let text = String::from_utf8_lossy(&self.bytes[self.at..self.at + length]).into_owned();
        self.found.push(Token { text, line: self.line });
        self.advance(length);
    }

    /// A name, or the prefix of a string.
    fn name(&mut self) {
        let mut length = 0;
        while is_name(self.peek(length)) {
            length += 1;
        }
        let word = &self.bytes[self.at..self.at + length];
        let is_prefix = matches!(word, b"r" | b"b" | b"br" | b"c" | b"cr");
        let raw = is_prefix && word.contains(&b'r');
        match self.peek(length) {
            b'"' | b'#' if raw => {
                let mut hashes = 0;
                while self.peek(length + hashes) == b'#' {
                    hashes += 1;
                }
                if self.peek(length + hashes) == b'"' {
                    self.advance(length + hashes + 1);
                    self.skip_raw(hashes);
                } else {
                    // A raw name: `r#type`.
                    self.advance(length + hashes);
                }
            }
            b'"' if is_prefix => {
                self.advance(length);
                self.skip_string();
            }
            b'\'' if word == b"b" => {
                self.advance(length);
                self.skip_quote();
            }
            _ => self.push(length),
        }
    }

    fn skip_until(&mut self, end: impl Fn(&Self) -> bool) {
        while self.at < self.bytes.len() && !end(self) {
            self.advance(1);
        }
    }

    fn skip_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => (depth, _) = (depth + 1, self.advance(2)),
                (b'*', b'/') => (depth, _) = (depth - 1, self.advance(2)),
                _ => self.advance(1),
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_string(&mut self) {
        self.advance(1);
        while self.at < self.bytes.len() && self.peek(0) != b'"' {
            self.advance(if self.peek(0) == b'\\' { 2 } else { 1 });
        }
        self.advance(1);
    }

    fn skip_raw(&mut self, hashes: usize) {
        self.skip_until(|l| l.peek(0) == b'"' && (1..=hashes).all(|n| l.peek(n) == b'#'));
        self.advance(1 + hashes);
    }

    /// A character, or the mark of a lifetime or label.
    fn skip_quote(&mut self) {
        if self.peek(1) == b'\\' {
            self.advance(3);
            self.skip_until(|l| l.peek(0) == b'\'');
            self.advance(1);
            return;
        }
        // A character of several bytes ends with a quote as well; a lifetime does not.
        let width = match self.peek(1) {
            0..=0x7f => 1,
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        self.advance(if self.peek(1 + width) == b'\'' { width + 2 } else { 1 });
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Takes out items under `#[cfg(test)]`, and returns the names of modules in other files that are among them.
pub(crate) fn without_tests(tokens: Vec<Token>) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = test_attribute(&tokens[at..]) {
            let item = at + end;
            at = item + item_length(&tokens[item..]);
            if let Some(name) = declared_module(&tokens[item..at]) {
                modules.push(name);
            }
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    (kept, modules)
}

/// Returns the length of a `#[cfg(…test…)]` at the beginning.
fn test_attribute(tokens: &[Token]) -> Option<usize> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    if (text(0), text(1), text(2)) != ("#", "[", "cfg") {
        return None;
    }
    let end = tokens.iter().position(|token| token.text == "]")? + 1;
    let has = |word: &str| tokens[..end].iter().any(|token| token.text == word);
    (has("test") && !has("not")).then_some(end)
}

/// Returns the length of the item at the beginning: up to its semicolon, or to the end of its first block.
fn item_length(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        // The bracket of an attribute ends nothing.
        if depth == 0 && matches!(token.text.as_str(), ";" | "}") {
            return at + 1;
        }
    }
    tokens.len()
}

fn declared_module(item: &[Token]) -> Option<String> {
    let at = item.iter().position(|token| token.text == "mod")?;
    let name = item.get(at + 1)?;
    (item.get(at + 2)?.text == ";").then(|| name.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        tokens(text).into_iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    }

    fn words_without_tests(text: &str) -> String {
        without_tests(tokens(text)).0.into_iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_strings_are_gone() {
        let cases = [
            ("a // b\nc", "a c"),
            ("a /* b /* c */ d */ e", "a e"),
            (r#"a "b \" c" d"#, "a d"),
            (r###"a r#"b " c"# br"\" d"###, "a d"),
            (r"a b'x' '\'' '\u{1F600}' '✓' c", "a c"),
            ("fn f<'a>(x: &'a str) {}", "fn f < a > ( x : & a str ) { }"),
            ("use r#type::x;", "use type :: x ;"),
            ("crate::a::{b, c}", "crate :: a :: { b , c }"),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let found = tokens("/*\n\n*/ \"\n\" a\nb");
        assert_eq!(found.iter().map(|token| token.line).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn test_code_is_taken_out() {
        let cases = [
            ("a #[cfg(test)] mod tests { use x; fn f() { y } } b", "a b"),
            ("#[cfg(test)] use x::y; b", "b"),
            ("#[cfg(all(test, unix))] #[allow(z)] fn f(a: [u8; 2]) { y } b", "b"),
            ("#[cfg(not(test))] use x;", "# [ cfg ( not ( test ) ) ] use x ;"),
            ("#[cfg(unix)] use x;", "# [ cfg ( unix ) ] use x ;"),
        ];
        for (text, expected) in cases {
            assert_eq!(words_without_tests(text), expected, "{text}");
        }
        let declared =
            without_tests(tokens("#[cfg(test)] mod tests; #[cfg(test)] mod inline {} mod real;")).1;
        assert_eq!(declared, ["tests"]);
    }
}

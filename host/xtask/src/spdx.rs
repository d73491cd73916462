//! [`allows`]: whether a licence expression of a package can be met with licences we accept.

/// Whether `accept` says yes to enough licences of an SPDX expression. The older `A/B` reads as `A OR B`.
pub(crate) fn allows(expression: &str, accept: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut parser = Parser { words: spaced.split_ascii_whitespace().collect(), at: 0, accept };
    let allowed = parser.alternatives();
    match allowed {
        Some(allowed) if parser.at == parser.words.len() => Ok(allowed),
        _ => Err(format!("licence expression `{expression}` cannot be read")),
    }
}

struct Parser<'a> {
    words: Vec<&'a str>,
    at: usize,
    accept: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    fn alternatives(&mut self) -> Option<bool> {
        let mut allowed = self.conjunction()?;
        while self.take("OR") {
            allowed |= self.conjunction()?;
        }
        Some(allowed)
    }

    fn conjunction(&mut self) -> Option<bool> {
        let mut allowed = self.licence()?;
        while self.take("AND") {
            allowed &= self.licence()?;
        }
        Some(allowed)
    }

    fn licence(&mut self) -> Option<bool> {
        if self.take("(") {
            let allowed = self.alternatives()?;
            return self.take(")").then_some(allowed);
        }
        let name = self.next().filter(|word| !matches!(*word, "OR" | "AND" | "WITH" | ")"))?;
        if self.take("WITH") {
            let exception = self.next()?;
            return Some((self.accept)(&format!("{name} WITH {exception}")));
        }
        Some((self.accept)(name))
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = *self.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at) == Some(&word);
        self.at += usize::from(found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str) -> Result<bool, String> {
        allows(expression, &|name| matches!(name, "MIT" | "Apache-2.0" | "Apache-2.0 WITH LLVM-exception"))
    }

    #[test]
    fn good_enough() {
        for expression in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "(GPL-3.0 OR MIT) AND Apache-2.0",
            "GPL-3.0 AND MIT OR Apache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(check(expression), Ok(true), "{expression}");
        }
    }

    #[test]
    fn not_good_enough() {
        for expression in ["GPL-3.0", "MIT AND GPL-3.0", "MIT AND (GPL-3.0 OR LGPL-2.1)", "MIT WITH X"] {
            assert_eq!(check(expression), Ok(false), "{expression}");
        }
    }

    #[test]
    fn not_an_expression() {
        for expression in ["", "MIT OR", "(MIT", "MIT Apache-2.0", "AND MIT", "MIT)"] {
            assert!(check(expression).is_err(), "{expression}");
        }
    }
}

//! [`Ignore`]: the rules of `.indexignore` files, which have the syntax of `.gitignore`.

use fast_glob::glob_match;

/// All rules of a catalog.
#[derive(Debug, Default)]
pub(crate) struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// The directory whose `.indexignore` has it: empty, or with a slash at the end.
    base: String,
    /// Whether it takes files back in.
    include: bool,
    /// Whether it is about directories only.
    directory: bool,
    pattern: String,
}

impl Ignore {
    /// Adds the rules of one file.
    pub(crate) fn add(&mut self, path: &str, content: &str) {
        let base = path.rfind('/').map_or("", |slash| &path[..=slash]);
        self.rules.extend(content.lines().filter_map(|line| Rule::parse(base, line)));
        // A deeper file has the last word; within one the order of lines stays.
        self.rules.sort_by_key(|rule| rule.base.matches('/').count());
    }

    /// Tells whether a file is excluded, by itself or with a directory that it is in.
    pub(crate) fn excludes(&self, file: &str) -> bool {
        let ends = file.match_indices('/').map(|(slash, _)| (slash, true)).chain([(file.len(), false)]);
        ends.into_iter().any(|(end, directory)| self.excludes_one(&file[..end], directory))
    }

    fn excludes_one(&self, path: &str, directory: bool) -> bool {
        let last = self.rules.iter().rev().find(|rule| rule.matches(path, directory));
        last.is_some_and(|rule| !rule.include)
    }
}

impl Rule {
    fn parse(base: &str, line: &str) -> Option<Self> {
        let line = trim_end(line);
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (include, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (directory, line) = line.strip_suffix('/').map_or((false, line), |rest| (true, rest));
        if line.is_empty() {
            return None;
        }
        // A slash that is not the last character ties a pattern to the directory of its file.
        let pattern = match (line.strip_prefix('/'), line.contains('/')) {
            (Some(rest), _) => rest.to_owned(),
            (None, true) => line.to_owned(),
            (None, false) => format!("**/{line}"),
        };
        Some(Self { base: base.to_owned(), include, directory, pattern: literal_braces(&pattern) })
    }

    fn matches(&self, path: &str, directory: bool) -> bool {
        if self.directory && !directory {
            return false;
        }
        path.strip_prefix(self.base.as_str()).is_some_and(|path| glob_match(&self.pattern, path))
    }
}

/// Removes spaces at the end, unless a backslash keeps them.
fn trim_end(line: &str) -> &str {
    let trimmed = line.trim_end_matches([' ', '\t', '\r']);
    match trimmed.ends_with('\\') && trimmed.len() < line.len() {
        true => &line[..=trimmed.len()],
        false => trimmed,
    }
}

/// Braces mean nothing in these files, but something to the matcher; so does `!` at the start.
fn literal_braces(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut escaped = false;
    for (place, c) in pattern.char_indices() {
        if !escaped && (matches!(c, '{' | '}') || (place == 0 && c == '!')) {
            text.push('\\');
        }
        escaped = c == '\\' && !escaped;
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/expected_all.json\n..*", "expected_all.json", true)]
    #[case("/expected_all.json", "a/expected_all.json", false)]
    #[case("..*", "..data/catalog.json", true)]
    #[case("..*", ".data/catalog.json", false)]
    #[case("*.json", "a/b/c.json", true)]
    #[case("# *.json", "a/b/c.json", false)]
    #[case("\\#a", "#a", true)]
    #[case("\\!a", "!a", true)]
    #[case("*.json\n!keep.json", "a/keep.json", false)]
    #[case("foo/\n!foo/keep.json", "foo/keep.json", true)]
    #[case("foo/", "foo", false)]
    #[case("foo/", "x/foo/catalog.json", true)]
    #[case("a/b", "x/a/b", false)]
    #[case("a/b", "a/b/c.yaml", true)]
    #[case("a/**/z.json", "a/z.json", true)]
    #[case("a/**/z.json", "a/b/c/z.json", true)]
    #[case("a/**", "a/b", true)]
    #[case("**/z", "q/z/file", true)]
    #[case("a?c", "abc", true)]
    #[case("[!a]c", "bc", true)]
    #[case("{a,b}", "a", false)]
    #[case("{a,b}", "{a,b}", true)]
    #[case("foo  ", "foo", true)]
    #[case("foo\\ ", "foo ", true)]
    #[case("\n\r\n", "foo", false)]
    #[case("/", "foo", false)]
    #[case("*.md\r\n", "x/README.md", true)]
    fn rules(#[case] content: &str, #[case] file: &str, #[case] excluded: bool) {
        let mut ignore = Ignore::default();
        ignore.add(".indexignore", content);
        assert_eq!(ignore.excludes(file), excluded);
    }

    #[test]
    fn a_deeper_file_has_the_last_word() {
        let mut ignore = Ignore::default();
        ignore.add("foo/.indexignore", "!keep.json\n/own.json");
        ignore.add(".indexignore", "*.json");
        assert!(!ignore.excludes("foo/keep.json"));
        assert!(ignore.excludes("bar/keep.json"));
        assert!(ignore.excludes("foo/own.json") && !ignore.excludes("own.yaml"));
    }
}

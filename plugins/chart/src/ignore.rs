//! [`Ignored`]: which files of a directory are no part of its chart, by `.helmignore`.

use oc_mirror_go_template::glob;

/// The rules of a `.helmignore`.
#[derive(Clone, Debug, Default)]
pub struct Ignored(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    pattern: String,
    negated: bool,
    /// Only directories, and what is in them.
    directory: bool,
    /// The whole path and not the last component.
    rooted: bool,
}

impl Ignored {
    /// Reads the rules. What Helm ignores without any is ignored in any case.
    pub fn parse(text: &str) -> Self {
        let rules = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rules = rules.map(|line| {
            let (negated, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern),
                None => (false, line),
            };
            let directory = pattern.ends_with('/');
            let pattern = pattern.trim_end_matches('/');
            let rooted = pattern.contains('/');
            let pattern = pattern.strip_prefix('/').unwrap_or(pattern).to_owned();
            Rule { pattern, negated, directory, rooted }
        });
        let dots = Rule { pattern: "templates/.?*".into(), negated: false, directory: false, rooted: true };
        Self(rules.chain([dots]).collect())
    }

    /// Answers whether a file is ignored: itself, or a directory that it is in.
    pub fn covers(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| (at, true)).chain([(path.len(), false)]);
        let mut ends = ends.map(|(end, is_directory)| (&path[..end], is_directory));
        ends.any(|(part, is_directory)| self.matches(part, is_directory))
    }

    fn matches(&self, path: &str, is_directory: bool) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.0.iter().any(|rule| {
            if rule.directory && !is_directory {
                return false;
            }
            let hit = glob(&rule.pattern, if rule.rooted { path } else { name });
            // As Helm has it: what a negated rule does not match is ignored.
            hit != rule.negated && !(rule.negated && is_directory)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const RULES: &str = "# a comment\n.git/\n*.tmp\n/ci\ndocs/*.md\n";

    #[rstest]
    #[case("Chart.yaml", false)]
    #[case(".git/config", true)]
    #[case("templates/a.tmp", true)]
    #[case("ci/values.yaml", true)]
    #[case("templates/ci", false)]
    #[case("docs/a.md", true)]
    #[case("docs/b/a.md", false)]
    #[case("templates/.hidden", true)]
    #[case(".helmignore", false)]
    fn rules(#[case] path: &str, #[case] ignored: bool) {
        assert_eq!(Ignored::parse(RULES).covers(path), ignored);
    }
}

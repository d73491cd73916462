//! [`Outline`]: what a new configuration asks for, and its text with comments for whoever goes on writing it.

use super::{Operator, Package, ReleaseChannel};

/// What a new configuration asks for. Whatever is not asked for is in the text all the same, as an example behind `#`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// How it came to be, a line each.
    pub notes: Vec<String>,
    /// The size no chunk exceeds, in GiB.
    pub archive_size: Option<u32>,
    /// Whether the data of update graphs is wanted.
    pub graph: bool,
    /// Architectures of releases; empty means `amd64`.
    pub architectures: Vec<String>,
    /// Channels of releases.
    pub channels: Vec<ReleaseChannel>,
    /// Catalogs; of each, name and packages are written.
    pub operators: Vec<Operator>,
    /// Other images.
    pub images: Vec<String>,
}

/// A text in which each line knows whether it is an example.
struct Text {
    text: String,
    is_example: bool,
}

impl Text {
    /// Writes a line at a column. An example is behind `# ` at the column at which its section begins.
    fn line(&mut self, column: usize, line: &str) {
        let line = match self.is_example {
            true => format!(
                "{}# {}{line}",
                " ".repeat(SECTION.min(column)),
                " ".repeat(column.saturating_sub(SECTION))
            ),
            false => format!("{}{line}", " ".repeat(column)),
        };
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Writes a comment. It begins with a capital or a mark, which tells it from an example.
    fn comment(&mut self, column: usize, line: &str) {
        self.text.push_str(&format!("{}# {line}\n", " ".repeat(column)));
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }
}

/// The column at which sections of `mirror` begin.
const SECTION: usize = 2;

impl Outline {
    /// Answers whether it asks for nothing.
    pub fn asks_for_nothing(&self) -> bool {
        !self.graph && self.channels.is_empty() && self.operators.is_empty() && self.images.is_empty()
    }

    /// Writes the configuration, in v2alpha1.
    pub fn to_yaml(&self) -> String {
        let mut text = Text { text: String::new(), is_example: false };
        text.comment(0, "What oc-mirror mirrors. Examples are behind `#`: to use one, take `# ` away and keep its columns.");
        text.comment(
            0,
            "`oc-mirror lint -c FILE` tells what is wrong with this file, `oc-mirror help topics` explains.",
        );
        for note in &self.notes {
            text.comment(0, &note.replace(char::is_control, " "));
        }
        text.line(0, "kind: ImageSetConfiguration");
        text.line(0, "apiVersion: mirror.openshift.io/v2alpha1");
        text.blank();
        text.comment(0, "No file of an imageset is larger than so many GiB; otherwise 500.");
        text.is_example = self.archive_size.is_none();
        text.line(0, &format!("archiveSize: {}", self.archive_size.unwrap_or(4)));
        text.is_example = false;
        text.blank();
        text.line(0, "mirror:");
        self.releases(&mut text);
        self.catalogs(&mut text);
        self.other_images(&mut text);
        more(&mut text);
        text.text
    }

    fn releases(&self, text: &mut Text) {
        let example =
            ReleaseChannel { name: format!("stable-{}", self.minor()), ..ReleaseChannel::default() };
        let is_example = self.channels.is_empty() && !self.graph;
        let channels = if is_example { std::slice::from_ref(&example) } else { &self.channels };
        text.comment(2, "Releases: the newest of each channel, or a range.");
        text.comment(
            2,
            &format!("`oc-mirror list releases --channels --version {}` lists channels.", self.minor()),
        );
        text.is_example = is_example;
        text.line(2, "platform:");
        if self.graph || is_example {
            text.line(4, "graph: true   # the data of update graphs, for the update service");
        }
        if !self.architectures.is_empty() {
            let architectures: Vec<String> = self.architectures.iter().map(|name| scalar(name)).collect();
            text.line(4, &format!("architectures: [{}]", architectures.join(", ")));
        }
        if !channels.is_empty() {
            text.line(4, "channels:");
        }
        for channel in channels {
            text.line(6, &format!("- name: {}", scalar(&channel.name)));
            for (key, version) in [("minVersion", &channel.min_version), ("maxVersion", &channel.max_version)]
            {
                if let Some(version) = version {
                    text.line(8, &format!("{key}: {}", scalar(version)));
                }
            }
            if channel.shortest_path {
                text.line(8, "shortestPath: true   # only what an update needs on its way");
            }
        }
        text.is_example = false;
        text.blank();
    }

    fn catalogs(&self, text: &mut Text) {
        let example = Operator {
            catalog: format!("registry.redhat.io/redhat/redhat-operator-index:v{}", self.minor()),
            packages: vec![Package { name: "web-terminal".to_owned(), ..Package::default() }],
            ..Operator::default()
        };
        let operators =
            if self.operators.is_empty() { std::slice::from_ref(&example) } else { &self.operators };
        let catalog = &operators[0].catalog;
        text.comment(2, "Operators: the head of each channel, or a range.");
        text.comment(2, &format!("`oc-mirror list operators --catalog {catalog}` lists packages."));
        text.is_example = self.operators.is_empty();
        text.line(2, "operators:");
        for operator in operators {
            text.line(4, &format!("- catalog: {}", scalar(&operator.catalog)));
            if operator.packages.is_empty() {
                continue;
            }
            text.line(6, "packages:");
            for package in &operator.packages {
                text.line(8, &format!("- name: {}", scalar(&package.name)));
                if let Some(version) = &package.min_version {
                    text.line(10, &format!("minVersion: {}", scalar(version)));
                }
                if !package.channels.is_empty() {
                    text.line(10, "channels:");
                }
                for channel in &package.channels {
                    text.line(12, &format!("- name: {}", scalar(&channel.name)));
                    if let Some(version) = &channel.min_version {
                        text.line(14, &format!("minVersion: {}", scalar(version)));
                    }
                }
            }
        }
        text.is_example = false;
        text.blank();
    }

    fn other_images(&self, text: &mut Text) {
        let example = ["quay.io/prometheus/busybox:glibc".to_owned()];
        text.comment(2, "Other images, best by digest or by a tag that does not move.");
        text.is_example = self.images.is_empty();
        text.line(2, "additionalImages:");
        for image in if self.images.is_empty() { &example[..] } else { &self.images } {
            text.line(4, &format!("- name: {}", scalar(image)));
        }
        text.is_example = false;
        text.blank();
    }

    /// Returns the version of OpenShift that examples are of: that of the first channel which has one in its name.
    fn minor(&self) -> &str {
        let of = |channel: &'_ ReleaseChannel| channel.name.rfind('-').map(|at| at + 1);
        let named = self.channels.iter().find_map(|channel| {
            let version = &channel.name[of(channel)?..];
            let is_version = version.split_once('.').is_some_and(|(major, minor)| {
                [major, minor].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
            });
            is_version.then_some(version)
        });
        named.unwrap_or("4.20")
    }
}

/// What else there is.
fn more(text: &mut Text) {
    text.comment(2, "Charts, with the images that they run.");
    text.is_example = true;
    text.line(2, "helm:");
    text.line(4, "repositories:");
    text.line(6, "- name: podinfo");
    text.line(8, "url: https://stefanprodan.github.io/podinfo");
    text.line(8, "charts:");
    text.line(10, "- name: podinfo");
    text.line(12, "version: 6.7.1");
    text.is_example = false;
    text.blank();
    text.comment(
        2,
        "Images that are never mirrored: by expression, by pattern, or by what they are built on.",
    );
    text.is_example = true;
    text.line(2, "blockedImages:");
    text.line(4, "- name: ^docker\\.io/library/redis:[0-6]");
    text.line(4, "- glob: quay.io/prometheus/*");
}

/// Writes a text so that YAML reads it as one.
fn scalar(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    // A number has one dot at most.
    let is_version = text.starts_with(|c: char| c.is_ascii_digit()) && text.matches('.').count() > 1;
    let is_plain =
        text.chars().all(|c| c.is_ascii_alphanumeric() || "._/:@+-".contains(c)) && !text.ends_with(':');
    match (is_word || is_version) && is_plain {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Configuration, LintSettings, PackageChannel, Severity, lint, parse};
    use rstest::rstest;

    fn full() -> Outline {
        let channel = |name: &str, min: Option<&str>| PackageChannel {
            name: name.to_owned(),
            min_version: min.map(str::to_owned),
            ..PackageChannel::default()
        };
        Outline {
            notes: vec!["Made for a test.".to_owned()],
            archive_size: Some(8),
            graph: true,
            architectures: vec!["amd64".to_owned(), "arm64".to_owned()],
            channels: vec![ReleaseChannel {
                name: "eus-4.18".to_owned(),
                min_version: Some("4.16.10".to_owned()),
                max_version: Some("4.18.3".to_owned()),
                shortest_path: true,
                ..ReleaseChannel::default()
            }],
            operators: vec![
                Operator {
                    catalog: "registry.redhat.io/redhat/redhat-operator-index:v4.18".to_owned(),
                    packages: vec![
                        Package { name: "foo".to_owned(), ..Package::default() },
                        Package {
                            name: "bar".to_owned(),
                            channels: vec![channel("1.0", Some("1.0.0")), channel("stable", None)],
                            ..Package::default()
                        },
                    ],
                    ..Operator::default()
                },
                Operator { catalog: "oci:///srv/catalog".to_owned(), ..Operator::default() },
            ],
            images: vec!["quay.io/team/app:v1".to_owned()],
        }
    }

    fn errors(text: &str) -> Vec<String> {
        let found = lint(text, LintSettings::default())
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error);
        found.map(|finding| format!("{}: {}", finding.problem.path, finding.problem.message)).collect()
    }

    #[test]
    fn it_is_read_as_what_it_was_made_of() {
        let outline = full();
        let text = outline.to_yaml();
        assert_eq!(errors(&text), [""; 0], "{text}");
        let Configuration::Mirror(read) = parse(&text).expect("it is valid").configuration else {
            panic!("{text}")
        };
        let platform = read.mirror.platform.expect("there are channels");
        assert_eq!((platform.channels, platform.graph), (outline.channels, true), "{text}");
        assert_eq!(platform.architectures, outline.architectures);
        assert_eq!(read.mirror.operators, outline.operators, "{text}");
        let images: Vec<String> = read.mirror.additional_images.into_iter().map(|image| image.name).collect();
        assert_eq!(images, outline.images);
        assert_eq!(read.archive_size.map(|size| size.0), Some(8));
        insta::assert_snapshot!("outline", text);
    }

    /// Takes the `# ` in front of examples away.
    fn with_examples(text: &str) -> String {
        let line = |line: &str| {
            let at = line.find("# ").filter(|at| line[..*at].trim().is_empty());
            let example = at.map(|at| (&line[..at], &line[at + 2..]));
            match example.filter(|(_, rest)| {
                rest.trim_start().starts_with(|c: char| c.is_ascii_lowercase() || c == '-')
            }) {
                Some((front, rest)) => format!("{front}{rest}\n"),
                None => format!("{line}\n"),
            }
        };
        text.lines().map(line).collect()
    }

    #[rstest]
    #[case(Outline::default())]
    #[case(full())]
    fn examples_can_be_used_as_they_are(#[case] outline: Outline) {
        let text = with_examples(&outline.to_yaml());
        assert_eq!(errors(&text), [""; 0], "{text}");
        let Configuration::Mirror(read) = parse(&text).expect("it is valid").configuration else {
            panic!("{text}")
        };
        let mirror = read.mirror;
        assert!(
            mirror.platform.is_some() && !mirror.operators.is_empty() && !mirror.additional_images.is_empty()
        );
        assert!(
            mirror.helm.is_some() && mirror.blocked_images.len() == 2 && read.archive_size.is_some(),
            "{text}"
        );
    }

    #[rstest]
    #[case("stable-4.20", "stable-4.20")]
    #[case("4.20", "\"4.20\"")]
    #[case("4.20.1", "4.20.1")]
    #[case("yes", "\"yes\"")]
    #[case("a: b", "\"a: b\"")]
    #[case("", "\"\"")]
    fn texts_stay_texts(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(scalar(text), expected);
    }
}

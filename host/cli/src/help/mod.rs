//! Texts about what is behind the commands: `docs/topics/`, part of the program, for terminals and as pages of `man`.

mod markdown;
mod plain;
mod roff;

use std::borrow::Cow;

use crate::reference;

#[cfg(test)]
pub(crate) use markdown::Block;
pub(crate) use markdown::parse;
pub(crate) use plain::show;
pub(crate) use roff::{escaped, page};

/// Something that is worth an explanation.
pub(crate) struct Topic {
    /// What it is asked for by.
    pub name: &'static str,
    /// What it explains, in a few words.
    pub about: &'static str,
    text: Text,
}

/// Where a text comes from.
enum Text {
    Written(&'static str),
    /// Made of the tables that the program works by.
    Made(fn() -> String),
}

/// All topics, in the order in which they are listed.
pub(crate) const TOPICS: [Topic; 7] = [
    Topic {
        name: "imagesets",
        about: "what crosses the air gap: files, their sizes, what is in them",
        text: Text::Written(include_str!("../../../../docs/topics/imagesets.md")),
    },
    Topic {
        name: "sequences",
        about: "how imagesets follow one another, and what to do about a gap",
        text: Text::Written(include_str!("../../../../docs/topics/sequences.md")),
    },
    Topic {
        name: "plugins",
        about: "what decides what is mirrored and what is refused",
        text: Text::Written(include_str!("../../../../docs/topics/plugins.md")),
    },
    Topic {
        name: "enclaves",
        about: "mirroring on from one place without internet to the next",
        text: Text::Written(include_str!("../../../../docs/topics/enclaves.md")),
    },
    Topic {
        name: "registries",
        about: "credentials, certificates, mirrors, and registries with ways of their own",
        text: Text::Written(include_str!("../../../../docs/topics/registries.md")),
    },
    Topic {
        name: "exit-codes",
        about: "what the program ends with",
        text: Text::Made(reference::exit_codes),
    },
    Topic {
        name: "environment",
        about: "variables that are looked at",
        text: Text::Made(reference::environment),
    },
];

impl Topic {
    /// Returns the topic of this name.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        TOPICS.iter().find(|topic| topic.name == name)
    }

    /// Returns its text, as Markdown.
    pub(crate) fn text(&self) -> Cow<'static, str> {
        match self.text {
            Text::Written(text) => text.into(),
            Text::Made(make) => make().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_title_and_fits_a_terminal() {
        for topic in &TOPICS {
            let blocks = parse(&topic.text());
            assert!(matches!(blocks.first(), Some(Block::Heading { level: 1, .. })), "{}", topic.name);
            assert!(blocks.len() > 2, "{}", topic.name);
            for line in show(&blocks, 80).lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", topic.name);
            }
        }
    }
}

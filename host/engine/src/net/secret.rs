//! [`Secret`]: a text that cannot be displayed, and is wiped where it is no longer held.

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A password, token or URL with a password in it. Neither `Debug` nor `Display` shows it, and it cannot be serialised.
///
/// Its memory is overwritten when it is dropped. What libraries make of it is theirs: a header on its way is in buffers of
/// the HTTP client, which are not.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Puts parts together. The text is never moved while it grows, which would leave a copy behind.
    pub fn joined(parts: &[&str]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| text.push_str(part));
        Self(text)
    }

    /// Returns the text, to be sent and never to be shown.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Answers whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Secret {
    /// Compares in a time that does not depend on where the two differ, only on how long they are.
    fn eq(&self, other: &Self) -> bool {
        let differing = self.0.bytes().zip(other.0.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
        self.0.len() == other.0.len() && std::hint::black_box(differing) == 0
    }
}

impl Eq for Secret {}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cannot_be_displayed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)).matches("hunter2").count(), 0);
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn is_equal_to_nothing_but_the_same() {
        let secret = Secret::joined(&["hunt", "", "er2"]);
        assert_eq!(secret, Secret::new("hunter2"));
        for other in ["", "hunter", "hunter3", "Hunter2", "hunter22"] {
            assert_ne!(secret, Secret::new(other), "{other}");
        }
        assert_eq!(serde_json::from_str::<Secret>("\"hunter2\"").ok(), Some(secret));
    }

    #[test]
    fn is_wiped_when_it_is_dropped() {
        // Only a type that wipes itself may be held; a plain text does not compile here.
        fn held<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        let Secret(text) = Secret::new("hunter2");
        held(&text);
        let mut text = text;
        zeroize::Zeroize::zeroize(&mut *text);
        assert!(text.is_empty());
    }
}

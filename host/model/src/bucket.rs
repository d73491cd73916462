//! [`BucketUrl`]: a bucket of an S3-compatible store and a prefix in it.

use std::fmt;
use std::str::FromStr;

/// What such URLs begin with.
const SCHEME: &str = "s3://";
/// Keys are at most 1024 bytes long, and names of chunks follow the prefix.
const MAX_PREFIX: usize = 900;

/// A bucket and a prefix: `s3://bucket` or `s3://bucket/some/prefix`. What is below belongs to one chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketUrl {
    bucket: String,
    prefix: String,
}

/// A text is no bucket with a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot be used: {reason}")]
pub struct InvalidBucket {
    /// What was given: a URL, or the part of one that is at fault.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
    /// Whether it is the prefix that is at fault.
    pub in_prefix: bool,
}

impl BucketUrl {
    /// Makes one of its parts. Slashes around the prefix do not count.
    pub fn new(bucket: &str, prefix: &str) -> Result<Self, InvalidBucket> {
        let invalid =
            |text: &str, reason, in_prefix| Err(InvalidBucket { text: text.to_owned(), reason, in_prefix });
        if let Some(reason) = fault_of_bucket(bucket) {
            return invalid(bucket, reason, false);
        }
        let trimmed = prefix.trim_matches('/');
        if let Some(reason) = fault_of_prefix(trimmed) {
            return invalid(prefix, reason, true);
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: trimmed.to_owned() })
    }

    /// Answers whether a text is meant to be one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Returns the name of the bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns the prefix, without slashes around it; empty if there is none.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the key of something below the prefix.
    pub fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }
}

fn fault_of_bucket(name: &str) -> Option<&'static str> {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(3..=63).contains(&name.len()) {
        return Some("a bucket has a name of 3 to 63 characters");
    }
    if !name.chars().all(|c| is_edge(c) || c == '-' || c == '.') {
        return Some("the name of a bucket has only lower-case letters, digits, `-` and `.`");
    }
    (!name.starts_with(is_edge) || !name.ends_with(is_edge) || name.contains(".."))
        .then_some("the name of a bucket begins and ends with a letter or digit, and dots do not follow dots")
}

fn fault_of_prefix(prefix: &str) -> Option<&'static str> {
    if prefix.is_empty() {
        return None;
    }
    if prefix.len() > MAX_PREFIX {
        return Some("the prefix is too long for a key");
    }
    if prefix.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Some("parts of a prefix are not empty, and not `.` or `..`");
    }
    // The characters that every store and every tool takes for themselves.
    (!prefix.chars().all(|c| c.is_ascii_alphanumeric() || "-_.=+@/".contains(c)))
        .then_some("a prefix has only letters, digits, `-`, `_`, `.`, `=`, `+`, `@` and `/`")
}

impl FromStr for BucketUrl {
    type Err = InvalidBucket;

    fn from_str(text: &str) -> Result<Self, InvalidBucket> {
        let Some(rest) = text.strip_prefix(SCHEME) else {
            let reason = "it does not begin with `s3://`";
            return Err(InvalidBucket { text: text.to_owned(), reason, in_prefix: false });
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Self::new(bucket, prefix)
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("s3://bucket", "bucket", "", "s3://bucket")]
    #[case("s3://bucket/", "bucket", "", "s3://bucket")]
    #[case("s3://my.bucket-1/a/b_c=1/", "my.bucket-1", "a/b_c=1", "s3://my.bucket-1/a/b_c=1")]
    fn valid(#[case] text: &str, #[case] bucket: &str, #[case] prefix: &str, #[case] shown: &str) {
        let url: BucketUrl = text.parse().expect("valid");
        assert_eq!((url.bucket(), url.prefix(), url.to_string().as_str()), (bucket, prefix, shown));
    }

    #[rstest]
    #[case("bucket/x")]
    #[case("s3:///x")]
    #[case("s3://ab")]
    #[case("s3://Bucket")]
    #[case("s3://-bucket")]
    #[case("s3://bu..cket")]
    #[case("s3://bucket/a//b")]
    #[case("s3://bucket/../b")]
    #[case("s3://bucket/a b")]
    #[case("s3://bucket/a?b")]
    fn invalid(#[case] text: &str) {
        assert!(text.parse::<BucketUrl>().is_err());
    }

    #[test]
    fn keys_are_below_the_prefix() {
        let key = |text: &str| text.parse::<BucketUrl>().expect("valid").key("x.tar");
        assert_eq!((key("s3://bucket").as_str(), key("s3://bucket/a/").as_str()), ("x.tar", "a/x.tar"));
    }
}

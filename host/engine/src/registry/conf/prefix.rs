//! Which names a prefix is for.

/// Returns how many bytes of a name a prefix stands for; nothing if the name does not begin with it.
///
/// As in containers/image, a prefix ends where a component of the path does, or before a `:` or `@`. That the `:` may be
/// that of a port is not meant to be, but works there, and configurations count on it: `localhost` is for `localhost:5000`
/// as well.
pub(super) fn match_length(name: &str, prefix: &str) -> Option<usize> {
    let end = match prefix.strip_prefix('*') {
        // `*.example.com` is for all hosts below it, and for all of what they have.
        Some(domain) => {
            let start = name.find(domain)?;
            if name[..start].contains('/') {
                return None;
            }
            start + domain.len()
        }
        None => name.strip_prefix(prefix).map(|_| prefix.len())?,
    };
    matches!(name.as_bytes().get(end), None | Some(b'/' | b':' | b'@')).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    // The cases of containers/image, pkg/sysregistriesv2.
    #[rstest]
    #[case("docker.io/library/busybox", "docker.io", Some(9))]
    #[case("docker.io/library/busybox", "docker.io/library", Some(17))]
    #[case("docker.io/library/busybox:latest", "docker.io/library/busybox", Some(25))]
    #[case("docker.io/library/busybox:latest", "docker.io/library/busybox:latest", Some(32))]
    #[case("docker.io/library/busybox@sha256:aa", "docker.io/library/busybox", Some(25))]
    #[case("docker.io", "docker.io", Some(9))]
    #[case("docker.iox/library", "docker.io", None)]
    #[case("docker.io/libraryx/a", "docker.io/library", None)]
    #[case("docker.io", "docker.io/library", None)]
    #[case("example.com:5000/a", "example.com", Some(11))]
    #[case("example.com:5000/a", "example.com:5000", Some(16))]
    #[case("example.com:5000/a", "example.com:500", None)]
    #[case("docker.io/library/busybox", "*.io", Some(9))]
    #[case("foo.bar.example.com/busybox:latest", "*.example.com", Some(19))]
    #[case("foo.example.com:5000/busybox", "*.example.com", Some(15))]
    #[case("foo.example.com", "*.example.com", Some(15))]
    #[case("example.com/busybox", "*.example.com", None)]
    #[case("fooexample.com/busybox", "*.example.com", None)]
    #[case("foo.example.com.org/busybox", "*.example.com", None)]
    #[case("docker.io/foo.example.com/busybox", "*.example.com", None)]
    fn matches(#[case] name: &str, #[case] prefix: &str, #[case] expected: Option<usize>) {
        assert_eq!(match_length(name, prefix), expected);
    }
}

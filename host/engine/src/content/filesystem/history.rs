//! Which layers of an image put something into a directory, as its history tells: [`layers_of`].

use serde::Deserialize;

/// The part of an image's configuration that is looked at.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    history: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    empty_layer: bool,
}

/// How `opm` is told to make its cache and nothing else: such a step reads the directory and does not change it.
const CACHE_ONLY: &str = "--cache-only";

/// Returns the layers, counted from the base, whose step of the history names the directory.
///
/// Nothing is returned where the history does not match the layers or no step names the directory: then any layer
/// may have something in it.
pub(super) fn layers_of(config: &[u8], layers: usize, directory: &str) -> Option<Vec<usize>> {
    let config: Config = serde_json::from_slice(config).ok()?;
    let steps: Vec<&Step> = config.history.iter().filter(|step| !step.empty_layer).collect();
    if steps.len() != layers {
        return None;
    }
    let path = format!("/{}", directory.trim_matches('/'));
    let named = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| names(&step.created_by, &path) && !makes_cache(&step.created_by));
    let found: Vec<usize> = named.map(|(place, _)| place).collect();
    (!found.is_empty()).then_some(found)
}

/// Answers whether a command makes the cache and does nothing besides.
fn makes_cache(command: &str) -> bool {
    command.contains(CACHE_ONLY) && !command.contains(['&', ';', '|', '\n'])
}

/// Answers whether a command names a path, or something below it.
fn names(command: &str, path: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let begins = |before: &str| !before.ends_with(|c: char| c.is_ascii_alphanumeric() || "-_./".contains(c));
    command.match_indices(path).any(|(at, _)| begins(&command[..at]) && ends(&command[at + path.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn layers(steps: &[(&str, bool)], layers: usize) -> Option<Vec<usize>> {
        let history: Vec<_> =
            steps.iter().map(|(by, empty)| json!({"created_by": by, "empty_layer": empty})).collect();
        layers_of(json!({ "history": history }).to_string().as_bytes(), layers, "configs/")
    }

    #[test]
    fn the_steps_that_name_the_directory_decide() {
        let built = [
            ("/bin/sh -c #(nop) ADD file:1 in /", false),
            ("ENTRYPOINT [\"/bin/opm\"]", true),
            ("ADD catalog /configs # buildkit", false),
            ("RUN /bin/opm serve /configs --cache-dir=/tmp/cache --cache-only", false),
            ("LABEL operators.operatorframework.io.index.configs.v1=/configs", true),
        ];
        assert_eq!(layers(&built, 3), Some(vec![1]));
        assert_eq!(layers(&built, 4), None, "the history is of another image");
        let mut more = built;
        more[3].0 = "RUN rm -r /configs/foo && /bin/opm serve /configs --cache-only";
        assert_eq!(layers(&more, 3), Some(vec![1, 2]), "the step does more than make a cache");
    }

    #[rstest]
    #[case("COPY dir:9 in /configs ", true)]
    #[case("COPY x /configs/foo", true)]
    #[case("RUN rm -rf /configs/bar", true)]
    #[case("COPY x /configs-old", false)]
    #[case("COPY x /etc/configs", false)]
    #[case("COPY . /", false)]
    fn commands(#[case] command: &str, #[case] expected: bool) {
        assert_eq!(layers(&[(command, false)], 1).is_some(), expected);
    }

    #[test]
    fn no_history_is_no_answer() {
        assert_eq!(layers_of(b"{}", 1, "configs"), None);
        assert_eq!(layers_of(b"no", 1, "configs"), None);
    }
}

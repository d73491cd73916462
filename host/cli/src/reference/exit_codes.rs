//! What the program ends with.

use oc_mirror_model::report::exit;

use super::{MADE, table};

/// Each bit, with what it means.
const BITS: [(u8, &str); 8] = [
    (exit::OK, "All went well, or there was nothing to do."),
    (
        exit::GENERIC,
        "Wrong arguments or configuration, a refused imageset, an imageset or plugin that is not signed as asked for, a registry \
         out of reach, a full disk. Of `lint`: errors, or what `--deny` names. Of `check`: damage that touches no image. Of \
         `plugin test` and `plugin run`: an answer that is not as expected, an image that is denied.",
    ),
    (exit::RELEASE, "A release image failed."),
    (exit::OPERATOR, "An operator image or catalog failed."),
    (exit::ADDITIONAL, "An additional image failed, or one that a custom plugin asked for."),
    (exit::HELM, "A chart, or an image of one, failed."),
    (exit::CLUSTER, "A cluster could not be asked, could not be told all of it, or nobody agreed."),
    (exit::NOT_READY, "Something is not ready in the time of `--wait`."),
];

/// What is no sum.
const SIGNALS: [(u8, &str); 2] =
    [(exit::INTERRUPTED, "Ended by Ctrl-C (SIGINT)."), (exit::TERMINATED, "Ended by SIGTERM.")];

/// Writes the document.
pub(crate) fn exit_codes() -> String {
    let rows = |codes: &[(u8, &str)]| {
        codes.iter().map(|(code, meaning)| vec![code.to_string(), (*meaning).to_owned()]).collect::<Vec<_>>()
    };
    format!(
        "{MADE}\n# Exit codes\n\nExit codes add up, as those of oc-mirror v2 do: 12 means that an operator image and an \
         additional image failed.\n\n{}\nTwo are no sum, but what shells have for signals:\n\n{}\nA failed image does not stop the \
         others, unless `--on-error stop` says so. What `--on-error quarantine` left out counts too, though the imageset is made. \
         Running the same command again goes on from where it was.\n",
        table(&["code", "meaning"], rows(&BITS)),
        table(&["code", "meaning"], rows(&SIGNALS)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_told_in_order() {
        assert!(BITS.iter().map(|(code, _)| *code).eq([0, 1, 2, 4, 8, 16, 32, 64]));
    }
}

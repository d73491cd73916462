//! Limits of what comes from outside, at the whole program: what is at a limit is taken, and one more is refused by name.

use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder};
use rstest::rstest;

use crate::lab::{Lab, UID};

/// An image within so many indexes.
fn within(indexes: usize) -> Image {
    let image = ImageBuilder::new().layer(&[("a", "b")]).build();
    (0..indexes)
        .fold(image, |inner, n| IndexBuilder::new().child(&inner).annotation("level", &n.to_string()).build())
}

#[rstest]
#[case::at_the_limit(8, true)]
#[case::one_more(9, false)]
fn indexes_have_a_depth(#[case] indexes: usize, #[case] is_good: bool) {
    let lab = Lab::new();
    let reference = lab.push(&within(indexes), "team/deep", "v1");
    lab.configure(&[reference]);
    let run = lab.make(&["--uid", UID]);
    match is_good {
        true => drop(run.expect(0)),
        false => {
            let output = run.expect(8).output;
            assert!(output.raw_stderr.contains("indexes are nested deeper than 8"), "{}", output.snapshot());
        }
    }
}

//! [`each_image`]: what of an index is going to be mirrored, for policies that look into images.

use crate::{Descriptor, Error, Image, Platform, other};

/// Indexes in indexes: the specification allows them, two levels are in use.
const MAX_DEPTH: usize = 4;
/// How builders mark what they say of an image beside it.
const KIND: &str = "vnd.docker.reference.type";

/// Shows each image that is to be mirrored: the image itself, or of an index those for the wanted platforms, all of them if
/// none is named. Attestations, which are no images, are passed over.
pub fn each_image(
    image: &Image,
    platforms: &[Platform],
    look: &mut dyn FnMut(&Image) -> Result<(), Error>,
) -> Result<(), Error> {
    visit(image, platforms, MAX_DEPTH, look)
}

fn visit(
    image: &Image,
    platforms: &[Platform],
    depth: usize,
    look: &mut dyn FnMut(&Image) -> Result<(), Error>,
) -> Result<(), Error> {
    if !image.is_index() {
        return look(image);
    }
    if depth == 0 {
        let message = format!("`{}` has more than {MAX_DEPTH} indexes within each other", image.reference());
        return Err(other("index.depth", message));
    }
    for child in image.children()?.iter().filter(|child| is_wanted(child, platforms)) {
        visit(&image.open_child(&child.digest)?, platforms, depth - 1, look)?;
    }
    Ok(())
}

/// Answers whether an image of an index may be one of those wanted. Variants are not told apart: better one too many is looked
/// at.
pub fn is_wanted(child: &Descriptor, platforms: &[Platform]) -> bool {
    if child.annotations.iter().any(|(key, value)| key == KIND && value == "attestation-manifest") {
        return false;
    }
    let Some(own) = &child.platform else { return true };
    platforms.is_empty() || platforms.iter().any(|wanted| wanted.os == own.os && wanted.arch == own.arch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(platform: Option<(&str, &str)>, attestation: bool) -> Descriptor {
        let kind = (KIND.to_owned(), "attestation-manifest".to_owned());
        Descriptor {
            media_type: String::new(),
            digest: String::new(),
            size: 1,
            artifact_type: None,
            platform: platform.map(|(os, arch)| of(os, arch)),
            annotations: attestation.then_some(kind).into_iter().collect(),
        }
    }

    fn of(os: &str, arch: &str) -> Platform {
        Platform { os: os.to_owned(), arch: arch.to_owned(), variant: None }
    }

    #[test]
    fn what_may_be_mirrored_is_looked_at() {
        let amd = [of("linux", "amd64")];
        assert!(is_wanted(&child(Some(("linux", "amd64")), false), &amd));
        assert!(!is_wanted(&child(Some(("linux", "arm64")), false), &amd));
        assert!(is_wanted(&child(Some(("linux", "arm64")), false), &[]));
        assert!(is_wanted(&child(None, false), &amd));
        assert!(!is_wanted(&child(Some(("unknown", "unknown")), true), &[]));
        // Who only says that it is for no platform is no attestation.
        assert!(is_wanted(&child(Some(("unknown", "unknown")), false), &[]));
    }
}

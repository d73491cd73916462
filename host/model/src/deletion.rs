//! What is to be deleted and what was: [`DeleteImageList`], the file between the two phases of a deletion, and
//! [`DeletionReport`].
//!
//! The file is that of oc-mirror v2 with some fields more, which v2 passes over. Files of v2 are read as well.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::ApiVersion;
use crate::digest::Digest;
use crate::reference::{InvalidReference, Reference, Target};
use crate::report::{Failure, exit};
use crate::request::kind;

/// The kind of the file.
pub const KIND: &str = "DeleteImageList";

/// Images to delete from a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteImageList {
    /// [`KIND`].
    pub kind: String,
    /// `mirror.openshift.io/v2alpha1`.
    pub api_version: String,
    /// The chain whose images these are. Files of oc-mirror v2 do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Uuid>,
    /// Where they are to be deleted: `docker://HOST[:PORT][/PREFIX]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The most components that a repository has there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_nested_paths: Option<usize>,
    /// The images.
    #[serde(default)]
    pub items: Vec<DeleteItem>,
}

/// One image to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteItem {
    /// The name users know it by.
    pub image_name: String,
    /// Where it is: `docker://HOST/PATH:TAG`, or by digest where another image has taken over the tag.
    pub image_reference: String,
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: ItemType,
    /// What was mirrored there. Anything else that is found under the name is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What an image is for, in the words of oc-mirror v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ItemType {
    /// The payload of a release.
    OcpRelease,
    /// A component of a release.
    OcpReleaseContent,
    /// The data of the update graph.
    CincinnatiGraph,
    /// A bundle of an operator.
    OperatorBundle,
    /// An image that a bundle names.
    OperatorRelatedImage,
    /// A catalog of operators. Only a list of what was pruned has such.
    OperatorCatalog,
    /// An image of a chart.
    HelmImage,
    /// Any other image.
    Generic,
}

impl ItemType {
    /// Returns the type for a kind of image, see [`kind`].
    pub fn of(kind: &str) -> Self {
        match kind {
            kind::RELEASE => Self::OcpRelease,
            kind::RELEASE_CONTENT => Self::OcpReleaseContent,
            kind::GRAPH => Self::CincinnatiGraph,
            kind::BUNDLE => Self::OperatorBundle,
            kind::RELATED => Self::OperatorRelatedImage,
            kind::CATALOG => Self::OperatorCatalog,
            kind::HELM => Self::HelmImage,
            _ => Self::Generic,
        }
    }

    /// Returns the kind of image.
    pub fn kind(self) -> &'static str {
        match self {
            Self::OcpRelease => kind::RELEASE,
            Self::OcpReleaseContent => kind::RELEASE_CONTENT,
            Self::CincinnatiGraph => kind::GRAPH,
            Self::OperatorBundle => kind::BUNDLE,
            Self::OperatorRelatedImage => kind::RELATED,
            Self::OperatorCatalog => kind::CATALOG,
            Self::HelmImage => kind::HELM,
            Self::Generic => kind::ADDITIONAL,
        }
    }
}

/// A file is not a list of images to delete.
#[derive(Debug, thiserror::Error)]
pub enum InvalidList {
    /// It is not YAML, or lacks something.
    #[error("{0}")]
    Syntax(String),
    /// It is something else.
    #[error("its kind is `{found}`, not `{KIND}`")]
    OtherKind {
        /// What it says it is.
        found: String,
    },
    /// It is of another version.
    #[error("its apiVersion is `{found}`, not `{}`", ApiVersion::V2Alpha1.as_str())]
    OtherVersion {
        /// What it says.
        found: String,
    },
    /// A name in it is not one.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
}

impl DeleteImageList {
    /// Starts an empty list.
    pub fn new(chain: Option<Uuid>, target: &Target, max_nested_paths: Option<usize>) -> Self {
        Self {
            kind: KIND.to_owned(),
            api_version: ApiVersion::V2Alpha1.as_str().to_owned(),
            chain,
            target: Some(target.to_string()),
            max_nested_paths,
            items: Vec::new(),
        }
    }

    /// Reads a file. All names in it have been checked.
    pub fn parse(text: &str) -> Result<Self, InvalidList> {
        /// Read first, so that a wrong file is called that, and not a list without items.
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Head {
            kind: String,
            api_version: String,
        }
        let syntax = |error: serde_saphyr::Error| InvalidList::Syntax(error.to_string());
        let head: Head = serde_saphyr::from_str(text).map_err(syntax)?;
        if head.kind != KIND {
            return Err(InvalidList::OtherKind { found: head.kind });
        }
        if head.api_version != ApiVersion::V2Alpha1.as_str() {
            return Err(InvalidList::OtherVersion { found: head.api_version });
        }
        let list: Self = serde_saphyr::from_str(text).map_err(syntax)?;
        list.target()?;
        for item in &list.items {
            item.reference()?;
        }
        Ok(list)
    }

    /// Returns where the images are, if the file says so.
    pub fn target(&self) -> Result<Option<Target>, InvalidReference> {
        self.target.as_deref().map(str::parse).transpose()
    }

    /// Returns the file, with remarks at its beginning.
    pub fn to_yaml(&self, remarks: &[String]) -> String {
        let lines = remarks.iter().flat_map(|remark| remark.lines()).map(|line| format!("# {line}\n"));
        let remarks: String = lines.collect();
        remarks + &serde_saphyr::to_string(self).expect("strings and numbers serialise")
    }
}

impl DeleteItem {
    /// Returns where the image is. It has a tag or a digest.
    pub fn reference(&self) -> Result<Reference, InvalidReference> {
        let wrong =
            |reason: &str| InvalidReference { text: self.image_reference.clone(), reason: reason.to_owned() };
        let text = self.image_reference.strip_prefix("docker://");
        let reference: Reference = text.ok_or_else(|| wrong("it starts with `docker://`"))?.parse()?;
        if reference.tag.is_none() && reference.digest.is_none() {
            return Err(wrong("it has neither a tag nor a digest"));
        }
        Ok(reference)
    }
}

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It is deleted, or would be.
    Deleted,
    /// Its tag is removed; its manifest stays, since another image has it too.
    Untagged,
    /// Nobody promises it any more, but its tag stays: another image has its manifest, and the registry removes no tags.
    TagStays,
    /// It is only forgotten: another image that stays has all of it.
    Forgotten,
    /// It was not there.
    NotThere,
    /// It stays, and so does its place in the record.
    Kept,
    /// Deleting it failed; the same command tries again.
    Failed,
}

/// What became of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedImage {
    /// The name users know it by.
    pub origin: String,
    /// What it was for.
    pub kind: String,
    /// Where it is, or was.
    pub reference: String,
    /// Its digest, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, where that needs saying.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The manifests that are deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Digest>,
}

/// What a deletion did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletionReport {
    /// Where.
    pub target: String,
    /// True if nothing was changed because it was only asked what would be.
    pub dry_run: bool,
    /// The chain, if these are images of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uuid>,
    /// The images.
    pub images: Vec<DeletedImage>,
    /// How many manifests are deleted.
    pub manifests: u64,
    /// Bytes of blobs and manifests that no image needs any more, once the registry has collected its garbage.
    pub freed_bytes: u64,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What went wrong.
    pub failures: Vec<Failure>,
}

impl DeletionReport {
    /// Starts an empty report.
    pub fn new(target: &Target, dry_run: bool, uid: Option<Uuid>) -> Self {
        Self {
            target: target.to_string(),
            dry_run,
            uid,
            images: Vec::new(),
            manifests: 0,
            freed_bytes: 0,
            warnings: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Counts the images with an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.images.iter().filter(|image| image.outcome == outcome).count()
    }

    /// Returns the exit code that the failures add up to.
    pub fn exit_code(&self) -> u8 {
        self.failures.iter().fold(exit::OK, |code, failure| code | failure.exit_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const V2: &str = "\
apiVersion: mirror.openshift.io/v2alpha1
items:
- imageName: docker://quay.io/a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  imageReference: docker://localhost:5000/test/a/b:sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  type: operatorRelatedImage
- imageName: quay.io/c/d:1
  imageReference: docker://localhost:5000/test/c/d:1
  relatedBlobs: []
  type: generic
kind: DeleteImageList
";

    #[test]
    fn aliases_and_depth_have_limits() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let deep = format!("a: {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
        for text in [bomb, deep] {
            let error = DeleteImageList::parse(&format!("{V2}{text}")).expect_err("refused");
            assert!(matches!(error, InvalidList::Syntax(_)), "{error}");
        }
    }

    #[test]
    fn a_file_of_v2_is_read() {
        let list = DeleteImageList::parse(V2).expect("valid");
        assert_eq!((list.chain, list.target().expect("none"), list.items.len()), (None, None, 2));
        assert_eq!(list.items[0].kind, ItemType::OperatorRelatedImage);
        assert_eq!(list.items[1].reference().expect("valid").tag.expect("a tag").as_str(), "1");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let target: Target = "docker://localhost:5000/test".parse().expect("a target");
        let mut list = DeleteImageList::new(Some(Uuid::nil()), &target, Some(2));
        list.items = DeleteImageList::parse(V2).expect("valid").items;
        list.items[1].digest = Some(Digest::of(b"x"));
        let text = list.to_yaml(&["two\nlines".to_owned()]);
        assert!(text.starts_with("# two\n# lines\nkind: DeleteImageList\n"), "{text}");
        assert_eq!(DeleteImageList::parse(&text).expect("valid"), list);
    }

    #[rstest]
    #[case::kind("kind: ImageSetConfiguration", "its kind is `ImageSetConfiguration`")]
    #[case::nothing("{}", "its kind is ``")]
    #[case::version("kind: DeleteImageList\napiVersion: v1", "its apiVersion is `v1`")]
    #[case::reference(
        "kind: DeleteImageList\napiVersion: mirror.openshift.io/v2alpha1\nitems: [{imageName: a, imageReference: 'docker://r/a', type: generic}]",
        "neither a tag nor a digest"
    )]
    #[case::transport(
        "kind: DeleteImageList\napiVersion: mirror.openshift.io/v2alpha1\nitems: [{imageName: a, imageReference: 'r/a:1', type: generic}]",
        "starts with `docker://`"
    )]
    #[case::other("kind: DeleteImageList\napiVersion: mirror.openshift.io/v2alpha1\nitems: 7", "")]
    fn other_files(#[case] text: &str, #[case] words: &str) {
        let error = DeleteImageList::parse(text).expect_err("refused").to_string();
        assert!(error.contains(words), "{error}");
    }
}

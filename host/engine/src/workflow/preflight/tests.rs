use std::sync::{Arc, Mutex};

use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::media_type;
use oc_mirror_model::report::Workflow;
use oc_mirror_model::request::{Destination as Place, ImageRequest, kind};
use rstest::rstest;

use super::*;
use crate::content::memory::Memory;
use crate::metadata::in_registry::InRegistry;
use crate::transfer::{Parallelism, Retry};
use crate::workflow::from_disk::SparseProbe;
use crate::workflow::{CarryCompanions, OnError};

/// A registry that has these owners and answers nothing else.
struct Registry {
    profile: Found,
    refuses: Vec<&'static str>,
    takes_oci: bool,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Examine for Registry {
    async fn profile(&self) -> Result<Found, ContentError> {
        Ok(self.profile)
    }

    async fn may_push(&self, repository: &Repository) -> Result<Option<String>, ContentError> {
        self.asked.lock().unwrap().push(repository.to_string());
        let refused = self
            .refuses
            .iter()
            .any(|r| repository.as_str() == *r || repository.as_str().starts_with(&format!("{r}/")));
        Ok(refused.then(|| "it says no".to_owned()))
    }

    async fn takes_oci(&self, scratch: &Repository) -> Result<Option<String>, ContentError> {
        self.asked.lock().unwrap().push(format!("oci {scratch}"));
        Ok((!self.takes_oci).then(|| "it says no".to_owned()))
    }
}

#[async_trait]
impl SparseProbe for Registry {
    async fn takes_sparse_indexes(&self) -> Result<bool, ContentError> {
        self.asked.lock().unwrap().push("sparse".to_owned());
        Ok(false)
    }
}

fn registry(product: Product) -> Registry {
    Registry { profile: Found::said(product), refuses: Vec::new(), takes_oci: true, asked: Mutex::default() }
}

fn image(path: &str) -> ImageEntry {
    let origin = format!("r.example/{path}:v1");
    let root = Descriptor::of(media_type::OCI_MANIFEST, path.as_bytes());
    ImageEntry {
        plugin: "additional".to_owned(),
        request: ImageRequest {
            source: origin.clone(),
            origin,
            kind: kind::ADDITIONAL.to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: Vec::new(),
            with_referrers: false,
            provenance: Attributes::new(),
        },
        destination: Place { repository: path.parse().unwrap(), tag: "v1".parse().unwrap() },
        manifests: vec![root.clone()].into(),
        root,
        blobs: Vec::new().into(),
        sparse: false,
    }
}

fn run(dry_run: bool) -> Run {
    Run {
        program: "test".to_owned(),
        created: String::new(),
        created_is_fixed: true,
        new_uid: Uuid::nil(),
        dry_run,
        prune: false,
        repair: false,
        trusted: Default::default(),
        parallelism: Parallelism::default(),
        retry: Retry::default(),
        on_error: OnError::Finish,
        image_timeout: None,
        agreement: None,
        companions: CarryCompanions::All,
        events: Arc::new(crate::report::Silence),
        cancelled: Arc::default(),
        resources: Default::default(),
    }
}

fn destination(registry: Arc<Registry>, target: &str, most: Option<usize>) -> Destination {
    let target: Target = target.parse().unwrap();
    let memory = Arc::new(Memory::default());
    Destination {
        endpoint: memory.clone(),
        deleter: memory.clone(),
        records: Arc::new(InRegistry::new(memory, target.prefix.as_ref())),
        max_nested_paths: most,
        names: Names::new(target.prefix.clone(), most),
        examine: registry.clone(),
        sparse: registry,
        directory: None,
        target,
    }
}

struct Outcome {
    destination: Result<Destination, WorkflowError>,
    notes: Vec<String>,
    asked: Vec<String>,
}

async fn prepare(
    registry: Registry,
    (target, most): (&str, Option<usize>),
    dry_run: bool,
    images: &[ImageEntry],
) -> Outcome {
    let registry = Arc::new(registry);
    let destination = destination(registry.clone(), target, most);
    let images: Vec<&ImageEntry> = images.iter().collect();
    let mut report = RunReport::new(Workflow::DiskToMirror, dry_run);
    let prepared = destination.prepared(&run(dry_run), None, &paths(&images), &images, &mut report).await;
    assert_eq!(report.registries.len(), 1, "what it was taken for is reported");
    let asked = registry.asked.lock().unwrap().clone();
    Outcome { destination: prepared, notes: report.notes, asked }
}

impl Outcome {
    #[track_caller]
    fn findings(self) -> (Vec<String>, String) {
        let error = self.destination.err().expect("the target is unfit");
        let WorkflowErrorKind::Unfit(unfit) = *error.kind else { panic!("{error}") };
        (unfit.findings.iter().map(|f| f.message.clone()).collect(), unfit.hint())
    }
}

#[tokio::test]
async fn everything_is_told_at_once() {
    let mut large = image("team/large");
    let manifest = Descriptor { size: 5 << 20, ..large.manifests[0].clone() };
    large.manifests = vec![manifest].into();
    let mut other = image("team/other");
    let digest = Digest::of_with(Algorithm::Sha512, b"x");
    other.blobs = vec![Descriptor::new("application/octet-stream", digest, 1)].into();
    let mut sparse = image("team/sparse");
    sparse.sparse = true;
    let ecr = Registry { refuses: vec!["team/large", "oc-mirror"], ..registry(Product::Ecr) };
    let outcome = prepare(ecr, ("docker://r.example", None), false, &[large, other, sparse]).await;
    let (messages, hint) = outcome.findings();
    let expected = [
        "no manifest above 4194304 bytes",
        "SHA-256 only",
        "refuses indexes",
        "2 repositories must be created",
    ];
    assert_eq!(messages.len(), expected.len(), "{messages:#?}");
    for (message, part) in messages.iter().zip(expected) {
        assert!(message.contains(part), "{message}");
    }
    assert!(hint.contains("\n  aws ecr create-repository --repository-name oc-mirror\n  aws ecr create-repository --repository-name team/large"), "{hint}");
}

#[tokio::test]
async fn the_same_images_go_to_any_other_registry_unasked() {
    let mut large = image("team/large");
    let manifest = Descriptor { size: 5 << 20, ..large.manifests[0].clone() };
    large.manifests = vec![manifest].into();
    let generic = Registry { refuses: vec!["team"], takes_oci: false, ..registry(Product::Generic) };
    let outcome = prepare(generic, ("docker://r.example", None), false, &[large]).await;
    assert!(outcome.destination.is_ok());
    assert_eq!(outcome.asked, Vec::<String>::new());
}

#[test]
fn the_region_is_in_the_name() {
    assert_eq!(region("123456789012.dkr.ecr.eu-central-1.amazonaws.com"), " --region eu-central-1");
    assert_eq!(region("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com"), " --region us-east-1");
    assert_eq!(region("127.0.0.1"), "");
}

#[rstest]
#[case(Product::Harbor, "docker://r.example", "keeps everything in a project", "docker://r.example/PROJECT")]
#[case(Product::Quay, "docker://r.example", "in an organization", "docker://r.example/ORGANIZATION")]
#[case(Product::GitLab, "docker://r.example/group", "project of a group", "docker://r.example/GROUP/PROJECT")]
#[case(
    Product::Gar,
    "docker://r.example/project",
    "repository of a project",
    "docker://r.example/PROJECT/REPOSITORY"
)]
#[case(Product::Ghcr, "docker://r.example", "in a namespace", "docker://r.example/NAMESPACE")]
#[case(Product::DockerHub, "docker://docker.io", "in an organization", "docker://docker.io/ORGANIZATION")]
#[tokio::test]
async fn a_target_that_names_no_owner(
    #[case] product: Product,
    #[case] target: &str,
    #[case] message: &str,
    #[case] remedy: &str,
) {
    let outcome = prepare(registry(product), (target, None), false, &[image("a/b")]).await;
    assert_eq!(outcome.asked, Vec::<String>::new(), "names that are wrong are not tried");
    let (messages, hint) = outcome.findings();
    assert!(messages[0].contains(message), "{messages:?}");
    assert!(hint.contains(remedy), "{hint}");
}

#[rstest]
#[case(Product::GitLab, "docker://r.example/group/project", "group/project/a/b-c", 4)]
#[case(Product::DockerHub, "docker://docker.io/org", "org/a-b-c", 2)]
#[case(Product::OpenShift, "docker://r.example/ns", "ns/a-b-c", 2)]
#[tokio::test]
async fn paths_that_are_too_long_are_joined(
    #[case] product: Product,
    #[case] target: &str,
    #[case] place: &str,
    #[case] limit: usize,
) {
    let outcome = prepare(registry(product), (target, None), true, &[image("a/b/c")]).await;
    let placed = outcome.destination.unwrap_or_else(|e| panic!("{e}")).place(&"a/b/c".parse().unwrap());
    assert_eq!(placed.as_str(), place);
    assert!(outcome.notes[0].contains(&format!("--max-nested-paths {limit}")), "{:?}", outcome.notes);
    let generic = prepare(registry(Product::Generic), (target, None), true, &[image("a/b/c")]).await;
    let placed = generic.destination.unwrap_or_else(|e| panic!("{e}")).place(&"a/b/c".parse().unwrap());
    assert!(placed.as_str().ends_with("/a/b/c"), "{placed}");
}

#[tokio::test]
async fn short_paths_stay_as_they_are() {
    let outcome =
        prepare(registry(Product::GitLab), ("docker://r.example/g/p", None), true, &[image("a/b")]).await;
    assert_eq!(outcome.notes, Vec::<String>::new());
    assert_eq!(outcome.destination.unwrap_or_else(|e| panic!("{e}")).names.most(), None);
}

#[tokio::test]
async fn a_limit_of_the_user_that_is_too_high() {
    let target = ("docker://r.example/g/p", Some(9));
    let (messages, hint) =
        prepare(registry(Product::GitLab), target, true, &[image("a/b/c")]).await.findings();
    assert!(messages[0].contains("at most 4 components, and `g/p/a/b/c` has 5"), "{messages:?}");
    assert!(hint.contains("--max-nested-paths 4"), "{hint}");
}

#[tokio::test]
async fn an_owner_is_tried_once_and_by_its_shortest_repository() {
    let harbor = Registry { refuses: vec!["b"], ..registry(Product::Harbor) };
    let images = [image("a/x/y"), image("a/z"), image("b/x")];
    let mut images = images.to_vec();
    images.push(image("a/x/y/z"));
    // Without a prefix, the record itself is in no project.
    let outcome = prepare(harbor, ("docker://r.example/a", None), false, &images).await;
    assert_eq!(outcome.asked, ["a/oc-mirror"]);
    assert!(outcome.destination.is_ok());
    let harbor = Registry { refuses: vec!["a"], ..registry(Product::Harbor) };
    let (messages, hint) = prepare(harbor, ("docker://r.example/a", None), false, &images).await.findings();
    assert_eq!(messages, ["the project `a` does not exist, or the account may not push to it: it says no"]);
    assert!(hint.starts_with("create the project `a` in Harbor"), "{hint}");
}

#[tokio::test]
async fn quay_is_asked_for_nested_names_and_for_oci() {
    let quay = Registry { refuses: vec!["org/a/b"], takes_oci: false, ..registry(Product::Quay) };
    let outcome = prepare(quay, ("docker://r.example/org", None), false, &[image("a/b"), image("c")]).await;
    assert_eq!(outcome.asked, ["org/c", "org/a/b", "oci org/oc-mirror"]);
    let (messages, hint) = outcome.findings();
    assert!(messages[0].contains("no path as long as `org/a/b`"), "{messages:?}");
    assert!(messages[1].contains("no images of OCI's media types"), "{messages:?}");
    assert!(hint.contains("--max-nested-paths 2") && hint.contains("FEATURE_GENERAL_OCI_SUPPORT"), "{hint}");
}

#[tokio::test]
async fn a_target_deeper_than_the_project() {
    let gitlab = Registry { refuses: vec!["g/p/x/a/b"], ..registry(Product::GitLab) };
    let outcome =
        prepare(gitlab, ("docker://r.example/g/p/x", None), false, &[image("a/b"), image("c")]).await;
    assert_eq!(outcome.asked, ["g/p/x/c", "g/p/x/a/b"]);
    let (messages, hint) = outcome.findings();
    assert!(messages[0].contains("no path as long as `g/p/x/a/b`"), "{messages:?}");
    assert!(hint.starts_with("say --max-nested-paths 4, or publish to the project itself"), "{hint}");
}

#[tokio::test]
async fn a_dry_run_opens_no_upload() {
    let outcome =
        prepare(registry(Product::Quay), ("docker://r.example/org", None), true, &[image("a/b")]).await;
    assert_eq!(outcome.asked, Vec::<String>::new());
    assert!(outcome.destination.is_ok());
}

#[tokio::test]
async fn what_is_known_of_sparse_indexes_needs_no_trying() {
    let mut sparse = image("a/b");
    sparse.sparse = true;
    let nexus =
        prepare(registry(Product::Nexus), ("docker://r.example/r", None), false, &[sparse.clone()]).await;
    assert!(!nexus.asked.contains(&"sparse".to_owned()), "{:?}", nexus.asked);
    assert!(nexus.findings().0[0].contains("refuses indexes"));
    let generic = prepare(registry(Product::Generic), ("docker://r.example/r", None), false, &[sparse]).await;
    assert_eq!(generic.asked, ["sparse"]);
}

#[tokio::test]
async fn a_guess_can_be_overruled() {
    let guessed =
        Found { profile: Profile::of(Product::Harbor), because: Because::Answer("its token server") };
    let harbor = Registry { profile: guessed, ..registry(Product::Harbor) };
    let outcome = prepare(harbor, ("docker://r.example", None), true, &[image("a/b")]).await;
    let error = outcome.destination.err().unwrap();
    assert_eq!(
        error.to_string(),
        "`docker://r.example` (Harbor, by its token server) cannot take what is to be published"
    );
    assert!(
        error
            .hint()
            .unwrap()
            .ends_with("if the registry is not Harbor: --registry-profile generic, or what it is")
    );
}

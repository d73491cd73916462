//! Signatures: planned, written, resumed, and asked for.

use super::*;
use oc_mirror_model::dsse::Distrust;
use oc_mirror_model::imageset::FORMAT;

fn keys(count: usize) -> (Vec<PublicKey>, SigningKeys) {
    let keys: Vec<SigningKey> = (0..count).map(|_| SigningKey::generate().expect("made").0).collect();
    (keys.iter().map(|key| *key.public()).collect(), SigningKeys::new(keys))
}

fn signed_sample(keys: &SigningKeys) -> Sample {
    let mut content = BTreeMap::new();
    let images = vec![image("one", &[noise(1, 400_000)], false, &mut content)];
    sample_by(images, content, Some(128 << 10), keys.ids())
}

async fn written(dir: &Path, sample: &Sample, keys: &SigningKeys) {
    let writer = Writer::create_or_resume_signed(dir, sample.index.clone(), keys).expect("created");
    sample.put_all(&writer).await;
    for path in writer.seal().await.expect("sealed") {
        assert!(path.metadata().expect("there").len() <= 128 << 10, "the signature counts");
    }
}

async fn opened(dir: &Path, trusted: &TrustedKeys) -> Result<Reader, ArchiveError> {
    Reader::open_trusted(&ImagesetChunks::from(&ImagesetFiles::at(dir).expect("there")), trusted).await
}

#[tokio::test]
async fn so_many_of_so_many_keys() {
    let dir = tempfile::tempdir().expect("a directory");
    let (public, pair) = keys(2);
    let sample = signed_sample(&pair);
    written(dir.path(), &sample, &pair).await;
    let trusted = |keys: &[PublicKey], threshold| TrustedKeys::new(keys.to_vec(), threshold).expect("valid");
    let strangers = keys(1).0;
    let reader = opened(dir.path(), &trusted(&public, 2)).await.expect("trusted");
    assert_eq!((reader.index().format, reader.verified().len()), (FORMAT, 2));
    let one = [public[0], strangers[0]];
    assert_eq!(opened(dir.path(), &trusted(&one, 1)).await.expect("trusted").verified(), [public[0].id()]);
    let error = opened(dir.path(), &trusted(&one, 2)).await.expect_err("one too few");
    let ArchiveErrorKind::Distrusted(Distrust::TooFew { found: 1, needed: 2, .. }) = error.kind() else {
        panic!("{error}")
    };
    assert!(error.hint().is_some());
    let error = opened(dir.path(), &trusted(&strangers, 1)).await.expect_err("others signed it");
    assert!(matches!(error.kind(), ArchiveErrorKind::Distrusted(_)), "{error}");
    // Nobody asks: it is read, and says who signed it.
    let reader = opened(dir.path(), &TrustedKeys::default()).await.expect("readable");
    assert!(reader.verified().is_empty() && reader.index().signed_by == pair.ids());
    assert_eq!(checked(dir.path()).await.expect("checked").damage, []);
}

#[tokio::test]
async fn what_is_not_signed_is_refused_only_where_keys_are_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    sample(None).written(dir.path()).await;
    opened(dir.path(), &TrustedKeys::default()).await.expect("readable");
    let error =
        opened(dir.path(), &TrustedKeys::new(keys(1).0, 1).expect("valid")).await.expect_err("refused");
    assert!(matches!(error.kind(), ArchiveErrorKind::Distrusted(Distrust::Unsigned { .. })), "{error}");
}

/// Somebody who changes the index, and knows how its checksum is made, is found out by the signature alone.
#[tokio::test]
async fn a_forged_index_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (public, pair) = keys(1);
    let sample = signed_sample(&pair);
    written(dir.path(), &sample, &pair).await;
    let zero = dir.path().join(Index::chunk_name(1, 0));
    let original = sample.index.to_bytes();
    let mut forged = sample.index.clone();
    forged.created_by = forged.created_by.replace("0.1.0", "0.1.1");
    let forged = forged.to_bytes();
    assert_eq!(original.len(), forged.len());
    let mut bytes = std::fs::read(&zero).expect("there");
    bytes[512..512 + forged.len()].copy_from_slice(&forged);
    std::fs::write(&zero, bytes).expect("written");
    let error = opened(dir.path(), &TrustedKeys::new(public, 1).expect("valid")).await.expect_err("refused");
    assert!(matches!(error.kind(), ArchiveErrorKind::Distrusted(Distrust::Wrong(_))), "{error}");
}

#[tokio::test]
async fn a_killed_run_signs_the_same() {
    let (one, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (_, pair) = keys(2);
    let sample = signed_sample(&pair);
    written(one.path(), &sample, &pair).await;
    let writer = Writer::create_or_resume_signed(other.path(), sample.index.clone(), &pair).expect("created");
    sample.put(&writer, "oci-layout").await;
    drop(writer);
    assert!(interrupted(other.path(), 1).expect("readable").is_some_and(|index| index == sample.index));
    written(other.path(), &sample, &pair).await;
    assert_eq!(snapshot(one.path()), snapshot(other.path()));
}

#[test]
fn an_index_is_signed_by_the_keys_that_it_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, pair) = keys(1);
    let sample = signed_sample(&pair);
    for keys in [SigningKeys::default(), keys(1).1] {
        let error =
            Writer::create_or_resume_signed(dir.path(), sample.index.clone(), &keys).expect_err("refused");
        assert!(matches!(error.kind(), ArchiveErrorKind::Index(_)), "{error}");
    }
}

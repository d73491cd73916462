//! Catalogs: documents are the same however the stream is cut, and what is kept of a catalog is a catalog.

use std::collections::BTreeMap;

use oc_mirror_catalog::{Builder, Catalog, Entry, Renderer, Rules, State, select};
use oc_mirror_engine::content::documents::{DocumentError, Documents, MAX_DOCUMENT, passes};

use crate::target::{Input, Target};

/// File-based catalogs in JSON and YAML.
pub const CATALOG: Target = Target { name: "catalog", longest: 64 << 10, memory: 128 << 20, check };

type Cut = (Vec<String>, Option<DocumentError>);

fn check(data: &[u8]) {
    let mut input = Input(data);
    let (pieces, rules) = (input.number().max(1), input.one_of(&[Rules::V2Alpha1, Rules::V1Alpha2]));
    let full = input.byte() % 2 == 0;
    let (whole, error) = cut(input.0, input.0.len().max(1));
    let (again, error_again) = cut(input.0, pieces);
    assert_eq!(whole, again, "in pieces of {pieces}");
    assert_eq!(error.is_some(), error_again.is_some(), "{error:?}, in pieces of {pieces} {error_again:?}");
    let (mut builder, nothing) = (Builder::new(), BTreeMap::new());
    for document in &whole {
        assert!(document.len() <= 4 * MAX_DOCUMENT);
        // What is no JSON is a problem of the catalog, told when it is put together.
        if passes(document, &nothing).is_ok() {
            builder.document("catalog/index.yaml", document);
        }
    }
    let Ok(catalog) = builder.finish() else { return };
    stored(&catalog);
    let entry = Entry { catalog: "r.example/catalog:v1".to_owned(), full, ..Entry::default() };
    let Ok(selection) = select(&catalog, &entry, rules, &State::default()) else { return };
    let _ = selection.images(&catalog);
    let renderer = Renderer::new(&catalog, &selection);
    let mut kept = Builder::new();
    for document in &whole {
        let Ok(rendered) = renderer.document("catalog/index.yaml", document) else { return };
        if let Some(rendered) = rendered {
            assert!(
                !rendered.path.starts_with('/') && !rendered.path.split('/').any(|part| part == ".."),
                "{}",
                rendered.path
            );
            kept.document(&rendered.path, &rendered.text);
        }
    }
    let kept = kept.finish().unwrap_or_else(|e| panic!("what is kept of a catalog is none: {e:?}"));
    assert!(kept.packages.len() <= catalog.packages.len());
    for package in &kept.packages {
        let before = catalog.package(&package.name).expect("a package of the catalog");
        assert!(package.bundles.iter().all(|bundle| before.bundle(&bundle.name).is_some()));
        assert!(package.channels.iter().all(|channel| before.channel(&channel.name).is_some()));
    }
}

/// Cuts a stream that comes in pieces of this length.
fn cut(stream: &[u8], piece: usize) -> Cut {
    let (mut documents, mut found) = (Documents::new(), Vec::new());
    for piece in stream.chunks(piece).chain([&[][..]]) {
        documents.push(piece);
        loop {
            match documents.next_document() {
                Ok(Some(document)) => found.push(document),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

fn stored(catalog: &Catalog) {
    let mut written = Vec::new();
    catalog.write(&mut |piece| written.extend_from_slice(piece));
    let text = String::from_utf8(written).expect("text");
    assert_eq!(Catalog::read(&text).as_ref(), Ok(catalog));
}

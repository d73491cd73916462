//! A catalog of the size of the largest there are: [`add`] puts its packages into an image. The same bytes on every run.
//!
//! What its bundles consist of is what those of real catalogs consist of: a description and examples, which are long
//! texts full of escapes, images by digest, APIs, and properties that nothing here needs.

use oc_mirror_testkit::CatalogBuilder;
use serde_json::{Value, json};

/// How many packages there are.
pub(super) const PACKAGES: usize = 700;
/// How many bundles each of them has.
pub(super) const BUNDLES: usize = 20;
/// How many images a bundle names besides its own.
const IMAGES: usize = 10;
/// How many different words there are: with these a catalog is compressed to about a quarter.
const WORDS: u64 = 600;

/// Adds the packages, each in a file of its own, and returns the number of bytes too.
pub(super) fn add(mut image: CatalogBuilder) -> (CatalogBuilder, usize) {
    let mut random = Random(0x5eed);
    let mut bytes = 0;
    for number in 0..PACKAGES {
        let name = format!("{}-operator-{number:03}", random.word());
        let text = package(&name, &mut random);
        bytes += text.len();
        image = image.file(&format!("{name}/catalog.json"), text);
    }
    (image, bytes)
}

/// Returns the documents of a package: two channels, of which the second has the later half of the first.
fn package(name: &str, random: &mut Random) -> String {
    let bundle = |minor: usize| format!("{name}.v1.{minor}.0");
    let entry = |minor: usize| match minor.checked_sub(1) {
        Some(before) => json!({
            "name": bundle(minor),
            "replaces": bundle(before),
            "skipRange": format!(">=1.{before}.0 <1.{minor}.0"),
        }),
        None => json!({ "name": bundle(minor) }),
    };
    let channel = |channel: &str, entries: Vec<Value>| json!({ "schema": "olm.channel", "package": name, "name": channel, "entries": entries });
    let head = json!({
        "schema": "olm.package",
        "name": name,
        "defaultChannel": "stable",
        "description": random.text(300),
        "icon": { "base64data": random.digits(4000), "mediatype": "image/png" },
    });
    let channels = [
        channel("stable", (0..BUNDLES).map(entry).collect()),
        channel("fast", (BUNDLES / 2..BUNDLES).map(entry).collect()),
    ];
    let bundles: Vec<Value> =
        (0..BUNDLES).map(|minor| document(name, &bundle(minor), minor, random)).collect();
    let documents = std::iter::once(&head).chain(&channels).chain(&bundles);
    documents.map(|document| format!("{document:#}\n")).collect()
}

fn document(package: &str, name: &str, minor: usize, random: &mut Random) -> Value {
    let mut image =
        |part: &str| format!("registry.example.com/{package}/{part}@sha256:{}", random.digits(64));
    let own = image("bundle");
    let mut related = vec![json!({ "name": "", "image": own })];
    related.extend(
        (0..IMAGES).map(|n| json!({ "name": format!("part-{n}"), "image": image(&format!("part-{n}")) })),
    );
    let kinds: Vec<String> = (0..5).map(|n| format!("Kind{n}")).collect();
    let apis = kinds.iter().map(|kind| {
        let value = json!({ "group": format!("{package}.example.com"), "kind": kind, "version": "v1beta1" });
        json!({ "type": "olm.gvk", "value": value })
    });
    let package_property = json!({ "type": "olm.package", "value": { "packageName": package, "version": format!("1.{minor}.0") } });
    let metadata = json!({ "type": "olm.csv.metadata", "value": metadata(package, &kinds, random) });
    json!({
        "schema": "olm.bundle",
        "package": package,
        "name": name,
        "image": own,
        "properties": apis.chain([package_property, metadata]).collect::<Vec<_>>(),
        "relatedImages": related,
    })
}

fn metadata(package: &str, kinds: &[String], random: &mut Random) -> Value {
    let examples: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({
                "apiVersion": format!("{package}.example.com/v1beta1"),
                "kind": kind,
                "metadata": { "name": random.word(), "namespace": package },
                "spec": { "replicas": 3, "note": random.text(300), "labels": { "a": random.word(), "b": random.word() } },
            })
        })
        .collect();
    let crds: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({
                "name": format!("{}s.{package}.example.com", kind.to_lowercase()),
                "kind": kind,
                "version": "v1beta1",
                "displayName": kind,
                "description": random.text(250),
            })
        })
        .collect();
    let modes = ["OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces"]
        .map(|mode| json!({ "type": mode, "supported": mode == "AllNamespaces" }));
    json!({
        "annotations": {
            "alm-examples": format!("{:#}", Value::from(examples)),
            "capabilities": "Deep Insights",
            "categories": "Storage, Monitoring",
            "createdAt": "2025-05-05T05:05:05Z",
            "description": random.text(200),
            "operators.operatorframework.io/builder": "operator-sdk-v1.39.0",
        },
        "apiServiceDefinitions": {},
        "crdDescriptions": { "owned": crds },
        "description": random.text(10_500),
        "displayName": format!("The operator {package}"),
        "installModes": modes,
        "keywords": [random.word(), random.word(), random.word()],
        "links": [{ "name": "Documentation", "url": format!("https://docs.example.com/{package}") }],
        "maintainers": [{ "name": random.word(), "email": "team@example.com" }],
        "provider": { "name": "Example" },
    })
}

/// Numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns one of [`WORDS`] words of three to eleven letters.
    fn word(&mut self) -> String {
        let mut letters = Random(self.next() % WORDS);
        let length = 3 + letters.next() % 9;
        (0..length).map(|_| char::from(b'a' + (letters.next() % 26) as u8)).collect()
    }

    /// Returns about that many bytes of words in lines, some of them quoted.
    fn text(&mut self, length: usize) -> String {
        let mut text = String::new();
        while text.len() < length {
            let end = match self.next() % 16 {
                0 => "\n",
                1 => ",\n\n* ",
                _ => " ",
            };
            let word = self.word();
            match self.next() % 24 {
                0 => text.push_str(&format!("\"{word}\"{end}")),
                _ => text.push_str(&format!("{word}{end}")),
            }
        }
        text
    }

    /// Returns hexadecimal digits.
    fn digits(&mut self, length: usize) -> String {
        let mut text = String::new();
        while text.len() < length {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(length);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_as_large_as_real_ones_and_always_the_same() {
        let text = package("p", &mut Random(1));
        assert_eq!(text, package("p", &mut Random(1)));
        let size = text.len() / BUNDLES;
        assert!((20_000..24_000).contains(&size), "{size} bytes");
        let compressed = oc_mirror_testkit::tar_gz(&[("p", &text)]).1.len();
        let ratio = text.len() as f64 / compressed as f64;
        assert!((3.5..4.5).contains(&ratio), "compressed to 1/{ratio:.2}");
    }
}

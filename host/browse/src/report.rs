//! [`report`]: what imagesets hold, as one page that needs nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_model::describe::Description;
use serde_json::{Map, Value, json};

use crate::assets::{REPORT, STYLE, hash, import_map, with_imports};

/// What the page begins with once all modules are known.
const START: &str = "import 'oc/report';";

/// Makes a page of descriptions, which are by their sequences. `program` has made it at the time `made`, RFC 3339.
///
/// The modules are those of `oc-mirror browse`. The page fetches nothing, and its policy forbids it to.
pub fn report(sets: &[Description], program: &str, made: &str) -> String {
    let data = inline(&json!({ "program": program, "made": made, "sets": sets }));
    let modules = with_imports(REPORT);
    let imports: Map<String, Value> = modules
        .into_iter()
        .map(|(name, asset)| {
            let address = format!("data:text/javascript;base64,{}", STANDARD.encode(asset.content));
            (name.to_owned(), address.into())
        })
        .collect();
    let map = import_map(imports);
    let style = STYLE.content;
    let policy = format!(
        "default-src 'none'; script-src data: 'sha256-{}' 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'",
        hash(&map),
        hash(START),
        hash(style)
    );
    let commands = "This page needs JavaScript. <code>oc-mirror describe DIR</code> prints what it says.";
    [
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        &format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n"),
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Imagesets</title>\n",
        &format!("<style>{style}</style>\n<script type=\"importmap\">{map}</script>\n"),
        &format!("<script type=\"application/json\" id=\"data\">{data}</script>\n"),
        &format!("</head>\n<body>\n<noscript>{commands}</noscript>\n<div id=\"page\"></div>\n"),
        &format!("<script type=\"module\">{START}</script>\n</body>\n</html>\n"),
    ]
    .concat()
}

/// Writes data so that nothing in it ends the element that it is in, or begins another one.
fn inline(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_data() {
        let text = inline(&json!({ "reason": "</script><script>alert(1)</script><!--" }));
        assert!(!text.contains('<'), "{text}");
        let read: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["reason"], "</script><script>alert(1)</script><!--");
    }

    #[test]
    fn a_report_needs_nothing_else() {
        let page = report(&[], "oc-mirror 1", "2026-11-26T00:00:00Z");
        for name in
            ["preact", "preact/hooks", "htm", "oc/report", "oc/imagesets", "oc/treemap", "oc/squarify"]
        {
            assert!(page.contains(&format!("\"{name}\":\"data:text/javascript;base64,")), "{name}");
        }
        assert!(!page.contains("\"oc/app\"") && !page.contains("src=") && !page.contains("href="));
        assert_eq!(page, report(&[], "oc-mirror 1", "2026-11-26T00:00:00Z"));
    }
}

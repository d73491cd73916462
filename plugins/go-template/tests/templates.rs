//! What goes wrong with templates: every failure says where it is, and every limit holds. What goes right is compared with
//! Helm itself, in `plugins/chart`.

use std::rc::Rc;

use oc_mirror_go_template::{Budget, Failure, Interpreter, Limits, Map, Templates, Value};
use rstest::rstest;

fn rendered_within(text: &str, data: &Value, limits: Limits) -> Result<String, Failure> {
    let mut templates = Templates::default();
    templates.add("t.yaml", text)?;
    Interpreter::new(Rc::new(templates), Rc::new(Budget::new(limits))).render("t.yaml", data)
}

fn rendered(text: &str) -> Result<String, Failure> {
    let inner = Value::map([("x", Value::Float(1.0)), ("nothing", Value::Nil)]);
    let data = Value::map([("a", inner), ("s", "text".into()), ("l", Value::list([Value::Int(1)]))]);
    rendered_within(text, &data, Limits::default())
}

#[rstest]
#[case("{{ .a.x }}", "1")]
#[case("a\n{{- /* over\n lines */}}\nb\n{{/* c */ -}}\n c", "a\nb\nc")]
#[case("{{ .none }}|{{ (.none).deeper }}|{{ $x := .none }}{{ $x.y }}", "||")]
#[case("{{ with .a }}{{ .x }}{{ $.s }}{{ end }}", "1text")]
#[case("{{ define \"d\" }}{{ . }}{{ end }}{{ template \"d\" .s }}{{ include \"d\" 5 }}", "text5")]
#[case("{{ tpl \"{{ define \\\"in\\\" }}i{{ end }}{{ include \\\"in\\\" . }}\" . }}", "i")]
#[case("{{ range $i, $x := .l }}{{ $i }}{{ $x }}{{ end }}", "01")]
#[case("{{ `raw` }}{{ \"esc\\t\\u00e9\" }}", "rawesc\té")]
fn templates_are_executed(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(rendered(text).expect("it is good"), expected);
}

// What Helm 3.21 prints.
#[rstest]
#[case("{{ fromToml \"a = 1\\n[b]\\nc = [1.5, true, 'x']\" }}", "map[a:1 b:map[c:[1.5 true x]]]")]
#[case("{{ fromToml \"\" }}", "map[]")]
#[case("{{ $d := fromToml \"n = 0xff\" }}{{ kindOf $d.n }} {{ eq $d.n 255 }}", "int64 true")]
#[case("{{ (fromToml \"a = inf\").a }} {{ (fromToml \"a = 1.0\").a }}", "+Inf 1")]
#[case("{{ (fromToml \"a = 1979-05-27T07:32:00.5-07:00\").a }}", "1979-05-27 07:32:00.5 -0700 -0700")]
#[case("{{ (fromToml \"a = 1979-05-27T07:32:00Z\").a }}", "1979-05-27 07:32:00 +0000 UTC")]
#[case("{{ (fromToml \"a = 07:32:00\").a }}", "0000-01-01 07:32:00 +0000 time-local")]
#[case(
    "{{ $d := fromToml \"a = 1979-05-27T07:32:00-07:00\" }}{{ $d.a.Unix }} {{ toJson $d }}",
    "296663520 {\"a\":\"1979-05-27T07:32:00-07:00\"}"
)]
#[case(
    "{{ fromToml \"[[s]]\\nip = 'a'\\n[[s]]\\n[s.r]\\nk = 1979-05-27\" | toToml }}",
    "[[s]]\n  ip = \"a\"\n\n[[s]]\n  [s.r]\n    k = 1979-05-27\n"
)]
#[case("{{ toToml (dict \"a\" (list 1 nil)) }}", "toml: cannot encode array with nil element")]
#[case("{{ toToml (list 1 2) }}{{ toToml 5 }}", "[1, 2]5")]
#[case("{{ toToml (dict \"a\" nil \"b c\" 3.0 \"c\" 1e6) }}", "\"b c\" = 3.0\nc = 1e+06\n")]
#[case("{{ toToml (dict \"a\" (list 1 (dict \"x\" \"y\"))) }}", "a = [1, {x = \"y\"}]\n")]
#[case(
    "{{ toToml (dict \"a\" (dict \"l\" (list (dict \"x\" 1)) \"t\" (dict \"u\" dict))) }}",
    "[a]\n\n  [[a.l]]\n    x = 1\n  [a.t]\n    [a.t.u]\n"
)]
fn toml(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(rendered(text).expect("it is good"), expected);
}

#[test]
fn toml_that_is_deep_is_none() {
    let printed = rendered("{{ fromToml (print \"a = \" (repeat 100000 \"[\")) }}").expect("no failure");
    assert!(printed.starts_with("map[Error:toml: line 1: "), "{printed:.100}");
}

#[rstest]
#[case("a = ", "toml: line 1: ")]
#[case("a = 1\\na = 2", "toml: line 2: ")]
#[case("a = 99999999999999999999", "toml: line 1: 99999999999999999999 is out of range for int64")]
#[case("a = 2024-13-45", "toml: line 1: ")]
fn what_is_no_toml_is_a_dictionary_that_says_so(#[case] text: &str, #[case] error: &str) {
    let printed = rendered(&format!("{{{{ fromToml \"{text}\" }}}}")).expect("no failure");
    assert!(printed.starts_with(&format!("map[Error:{error}")), "{printed}");
}

#[rstest]
#[case("{{ .a.b.c }}", "t.yaml:1:4: at <.a.b.c>: nil pointer evaluating interface {}.c")]
#[case("a\n  {{ .s.x }}", "t.yaml:2:6: at <.s.x>: can't evaluate field x in type string")]
#[case("{{ nope 1 }}", "t.yaml:1:4: at <nope>: function \"nope\" not defined")]
#[case("{{ fail \"as I say\" }}", "t.yaml:1:4: as I say")]
#[case("{{ required \"give it\" .none }}", "t.yaml:1:4: give it")]
#[case(
    "{{ trunc .a.x \"t\" }}",
    "t.yaml:1:4: at <trunc .a.x \"t\">: wrong type for value; expected int; got float64"
)]
#[case("{{ trunc 1 }}", "t.yaml:1:4: at <trunc 1>: wrong number of args for trunc: want 2 got 1")]
#[case("{{ upper nil }}", "t.yaml:1:4: at <upper nil>: invalid value; expected string")]
#[case("{{ eq 1 .a.x }}", "t.yaml:1:4: at <eq 1 .a.x>: incompatible types for comparison")]
#[case("{{ index .l 5 }}", "t.yaml:1:4: at <index .l 5>: index out of range: 5")]
#[case("{{ div 1 0 }}", "t.yaml:1:4: at <div 1 0>: integer divide by zero")]
#[case("{{ include \"gone\" . }}", "t.yaml:1:4: at <include \"gone\" .>: template \"gone\" not defined")]
#[case("{{ .s 1 }}", "t.yaml:1:4: at <.s 1>: s is not a method but has arguments")]
#[case("{{ range .s }}{{ end }}", "range can't iterate over text")]
#[case("{{ $x = 1 }}", "undefined variable \"$x\"")]
#[case("{{ regexFind \"(\" \"x\" }}", "error parsing regexp")]
#[case("{{ if }}{{ end }}", "t.yaml:1:")]
#[case("{{ if 1 }}", "t.yaml:1:")]
#[case("{{ \"open }}", "t.yaml:1:")]
fn failures_say_where(#[case] text: &str, #[case] expected: &str) {
    let failure = rendered(text).expect_err("it is bad").to_string();
    // The arguments of a method are no part of the expression that is shown.
    let expected = expected.replace("<.s 1>", "<.s>");
    assert!(failure.contains(&expected), "{failure}");
}

#[test]
fn the_outer_template_is_named_too() {
    let mut templates = Templates::default();
    templates.add("_h.tpl", "{{ define \"d\" }}\n{{ .a.b }}{{ end }}").expect("good");
    templates.add("t.yaml", "x: {{ include \"d\" (dict \"a\" 1) }}").expect("good");
    let mut interpreter = Interpreter::new(Rc::new(templates), Rc::new(Budget::default()));
    let failure = interpreter.render("t.yaml", &Value::Nil).expect_err("it is bad").to_string();
    assert_eq!(failure, "_h.tpl:2:4: at <.a.b>: can't evaluate field b in type int (used by t.yaml:1:7)");
}

#[rstest]
#[case::loops(
    "{{ range until 1000 }}{{ range until 1000 }}{{ range until 1000 }}x{{ end }}{{ end }}{{ end }}"
)]
#[case::numbers("{{ range 100000000 }}{{ end }}")]
#[case::list("{{ until 1000000000 }}")]
#[case::steps("{{ untilStep 0 9223372036854775807 1 }}")]
#[case::sequence("{{ seq 1000000000 }}")]
#[case::text("{{ repeat 1000000000 \"x\" }}")]
#[case::overflow("{{ repeat 9223372036854775807 \"xx\" }}")]
#[case::margin("{{ indent 1000000000 \"x\" }}")]
#[case::replaced("{{ $a := repeat 1000000 \"a\" }}{{ replace \"a\" $a $a }}")]
#[case::doubled("{{ $x := \"x\" }}{{ range until 64 }}{{ $x = print $x $x }}{{ end }}")]
#[case::width("{{ printf \"%1000000000d\" 1 }}")]
#[case::recursion("{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}")]
#[case::templates("{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}")]
#[case::texts("{{ $x := dict }}{{ $_ := set $x \"t\" \"{{ tpl .t . }}\" }}{{ tpl $x.t $x }}")]
#[case::itself_printed("{{ $x := dict }}{{ $_ := set $x \"x\" $x }}{{ $x }}")]
#[case::itself_written("{{ $x := dict }}{{ $_ := set $x \"x\" $x }}{{ toYaml $x }}")]
#[case::itself_as_json("{{ $x := dict }}{{ $_ := set $x \"x\" (list $x) }}{{ toJson $x }}")]
#[case::itself_as_toml("{{ $x := dict }}{{ $_ := set $x \"x\" $x }}{{ toToml $x }}")]
#[case::shared_as_toml(
    "{{ $x := list \"x\" }}{{ range until 60 }}{{ $x = list $x $x }}{{ end }}{{ toToml (dict \"a\" $x) }}"
)]
#[case::itself_copied("{{ $x := dict }}{{ $_ := set $x \"x\" $x }}{{ $y := deepCopy $x }}")]
#[case::itself_compared(
    "{{ $x := list 1 }}{{ $y := list 1 }}{{ range until 300 }}{{ $x = list $x }}{{ $y = list $y }}{{ end }}{{ deepEqual $x $y }}"
)]
#[case::shared("{{ $x := list \"x\" }}{{ range until 60 }}{{ $x = list $x $x }}{{ end }}{{ toJson $x }}")]
#[case::shared_printed("{{ $x := list \"x\" }}{{ range until 60 }}{{ $x = list $x $x }}{{ end }}{{ $x }}")]
#[case::concatenated("{{ $x := list \"x\" }}{{ range until 60 }}{{ $x = concat $x $x }}{{ end }}")]
#[case::random("{{ randAlphaNum 100000000 }}")]
fn hostile_templates_reach_a_limit(#[case] text: &str) {
    let failure = rendered(text).expect_err("it is hostile");
    assert!(failure.is_limit(), "{failure}");
    assert!(failure.to_string().starts_with("t.yaml"), "{failure}");
}

#[test]
fn a_limit_can_be_lower() {
    let limits = Limits { steps: 100, ..Limits::default() };
    let failure =
        rendered_within("{{ range until 200 }}x{{ end }}", &Value::Nil, limits).expect_err("too much");
    assert_eq!(failure.message(), "it takes more than 100 steps");
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    assert!(rendered_within("{{ repeat 2000000 \"x\" }}", &Value::Nil, limits).is_err());
}

#[test]
fn maps_are_shared_and_changed_in_place() {
    let map = Map::new();
    let data = Value::map([("m", Value::Map(map.clone()))]);
    rendered_within("{{ $_ := set .m \"a\" 1 }}", &data, Limits::default()).expect("good");
    assert!(map.contains("a"));
    // Else both hold each other.
    map.remove("a");
}

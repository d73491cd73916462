//! The contract keeps what it has promised: `wit/plugin.wit` is held against every release of it, by the rules of change in
//! `wit/README.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use oc_mirror_guest_build::{CONTRACT, WIT_VERSION};
use rstest::rstest;
use wit_parser::{Function, Handle, PackageId, Resolve, Type, TypeDefKind, TypeId, WorldItem};

/// A contract, written down so that two can be compared: what each thing is, by its name.
#[derive(Debug, Default)]
struct Surface {
    /// Interfaces, with the types and functions in them.
    interfaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Worlds: what each imports and exports.
    worlds: BTreeMap<String, (Vec<String>, Vec<String>)>,
    version: String,
}

impl Surface {
    fn read(text: &str) -> Self {
        let mut resolve = Resolve::default();
        let package: PackageId = resolve.push_source("plugin.wit", text).expect("a contract");
        let package = &resolve.packages[package];
        let mut surface = Self {
            version: package.name.version.as_ref().expect("a version").to_string(),
            ..Self::default()
        };
        for (name, id) in &package.interfaces {
            let interface = &resolve.interfaces[*id];
            let types =
                interface.types.iter().map(|(name, id)| (format!("type {name}"), definition(&resolve, *id)));
            let functions = interface
                .functions
                .iter()
                .map(|(name, f)| (format!("function {name}"), signature(&resolve, f)));
            surface.interfaces.insert(name.clone(), types.chain(functions).collect());
        }
        for (name, id) in &package.worlds {
            let world = &resolve.worlds[*id];
            let named = |items: &mut dyn Iterator<Item = &WorldItem>| -> Vec<String> {
                let name = |item: &WorldItem| match item {
                    WorldItem::Interface { id, .. } => {
                        resolve.interfaces[*id].name.clone().unwrap_or_default()
                    }
                    other => format!("{other:?}"),
                };
                let mut names: Vec<String> = items.map(name).collect();
                names.sort();
                names
            };
            let both = (named(&mut world.imports.values()), named(&mut world.exports.values()));
            surface.worlds.insert(name.clone(), both);
        }
        surface
    }

    /// What a component built against `released` would miss here; nothing if it runs.
    fn breaches(&self, released: &Self) -> Vec<String> {
        let mut breaches = Vec::new();
        for (world, (imports, exports)) in &released.worlds {
            match self.worlds.get(world) {
                None => breaches.push(format!("world {world} is gone")),
                Some((now, _)) if imports.iter().any(|name| !now.contains(name)) => {
                    breaches.push(format!("world {world} imports less"));
                }
                Some((_, now)) if now != exports => {
                    breaches.push(format!("world {world} exports other interfaces"))
                }
                Some(_) => {}
            }
        }
        let is_exported = |name: &String| released.worlds.values().any(|(_, exports)| exports.contains(name));
        for (name, items) in &released.interfaces {
            let Some(now) = self.interfaces.get(name) else {
                breaches.push(format!("interface {name} is gone"));
                continue;
            };
            for (item, text) in items {
                match now.get(item) {
                    None => breaches.push(format!("{item} of {name} is gone")),
                    Some(other) if other != text => {
                        breaches.push(format!("{item} of {name} was `{text}` and is `{other}`"));
                    }
                    Some(_) => {}
                }
            }
            let new = now.keys().filter(|item| !items.contains_key(*item));
            if is_exported(name) {
                breaches.extend(new.map(|item| format!("{item} is new in {name}, which plugins export")));
            }
        }
        breaches
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let mut text = format!("{} (", if function.kind.is_async() { "async" } else { "func" });
    // Names of parameters are not part of what is linked.
    for param in &function.params {
        write!(text, "{},", written(resolve, &param.ty)).expect("a string takes it");
    }
    let result = function.result.as_ref().map(|ty| written(resolve, ty)).unwrap_or_default();
    format!("{text}) -> {result}")
}

fn written(resolve: &Resolve, ty: &Type) -> String {
    match ty {
        Type::Id(id) => match &resolve.types[*id].name {
            Some(name) => name.clone(),
            None => definition(resolve, *id),
        },
        other => format!("{other:?}").to_lowercase(),
    }
}

fn definition(resolve: &Resolve, id: TypeId) -> String {
    let ty = |ty: &Type| written(resolve, ty);
    let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| written(resolve, ty));
    let name_of = |id: &TypeId| resolve.types[*id].name.clone().unwrap_or_default();
    let list = |items: Vec<String>| items.join(", ");
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            format!(
                "record {}",
                list(record.fields.iter().map(|f| format!("{}: {}", f.name, ty(&f.ty))).collect())
            )
        }
        TypeDefKind::Variant(variant) => {
            format!(
                "variant {}",
                list(variant.cases.iter().map(|c| format!("{}({})", c.name, maybe(&c.ty))).collect())
            )
        }
        TypeDefKind::Enum(cases) => {
            format!("enum {}", list(cases.cases.iter().map(|c| c.name.clone()).collect()))
        }
        TypeDefKind::Flags(flags) => {
            format!("flags {}", list(flags.flags.iter().map(|f| f.name.clone()).collect()))
        }
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", list(tuple.types.iter().map(ty).collect())),
        TypeDefKind::Option(inner) => format!("option<{}>", ty(inner)),
        TypeDefKind::List(inner) => format!("list<{}>", ty(inner)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err)),
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", name_of(id)),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", name_of(id)),
        TypeDefKind::Resource => "resource".to_owned(),
        // An alias, as `use` makes it too: what it stands for is compared where it is defined.
        TypeDefKind::Type(inner) => format!("= {}", ty(inner)),
        other => panic!("`{}` is not used in the contract, so nobody compares it", other.as_str()),
    }
}

fn released() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/released");
    let entries = std::fs::read_dir(&directory).expect("there are releases");
    let read = |path: PathBuf| {
        let version = path.file_name().expect("a name").to_string_lossy().into_owned();
        (version, std::fs::read_to_string(path.join("plugin.wit")).expect("its text"))
    };
    entries.map(|entry| read(entry.expect("readable").path())).collect()
}

#[test]
fn what_runs_on_a_release_runs_here() {
    let now = Surface::read(CONTRACT);
    assert_eq!(now.version, WIT_VERSION);
    let releases = released();
    assert!(!releases.is_empty());
    for (version, text) in releases {
        let release = Surface::read(&text);
        assert_eq!(release.version, version, "the directory is named after the version");
        let breaches = now.breaches(&release);
        assert!(breaches.is_empty(), "since {version}: {breaches:#?}");
    }
}

#[rstest]
#[case::same("", "", &[])]
#[case::imported_function("    has-credential: func", "    more: func();\n    has-credential: func", &[])]
#[case::imported_method("        size-hint: func", "        more: func();\n        size-hint: func", &[])]
#[case::name_of_a_parameter("has-credential: func(name: string)", "has-credential: func(called: string)", &[])]
#[case::new_import("    import cache;\n", "    import cache;\n    import later;\n", &[])]
#[case::function_gone("    settings: func() -> json;\n", "", &["function settings of config is gone"])]
#[case::other_result("    settings: func() -> json;", "    settings: func() -> u32;", &["function settings of config was"])]
#[case::async_function("    settings: func()", "    settings: async func()", &["function settings of config was"])]
#[case::record("record coded { code: string,", "record coded { more: u8, code: string,", &["type coded of types was"])]
#[case::variant("        cancelled,\n", "        cancelled,\n        tired,\n", &["type error of types was"])]
#[case::enumeration("enum level { trace,", "enum level { finest, trace,", &["type level of log was"])]
#[case::exported_function(
    "    configure: func",
    "    more: func();\n    configure: func",
    &["function more is new in settings, which plugins export"]
)]
#[case::exported_interface("    export preparation;\n", "", &["world catalog-source exports other interfaces"])]
#[case::import_gone("    import signatures;\n", "", &["world catalog-source imports less", "world content-source imports less"])]
fn breaches_are_told(#[case] from: &str, #[case] to: &str, #[case] expected: &[&str]) {
    let later = "interface later { more: func(); }\n";
    let (_, text) = released().into_iter().next().expect("a release");
    assert!(text.contains(from), "{from}");
    let changed = format!("{}\n{later}", text.replacen(from, to, 1));
    let breaches = Surface::read(&changed).breaches(&Surface::read(&text));
    assert_eq!(breaches.len(), expected.len(), "{breaches:#?}");
    for (breach, expected) in breaches.iter().zip(expected) {
        assert!(breach.starts_with(expected), "{breach}");
    }
}

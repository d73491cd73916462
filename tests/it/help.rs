//! `help`, `man` and `completion`, and the program as a plugin of kubectl.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oc_mirror_testkit::{TestContext, on_terminal};
use rstest::rstest;

use crate::lab::context;

#[rstest]
#[case("help_topics", &["help", "topics"])]
#[case("help_topic", &["help", "sequences"])]
#[case("help_exit_codes", &["help", "exit-codes"])]
#[case("help_misspelt_topic", &["help", "sequence"])]
#[case("help_misspelt_command", &["help", "lits"])]
#[case("help_unknown", &["help", "weather"])]
#[case("help_unknown_below", &["help", "list", "operator"])]
#[case("help_nothing_below", &["help", "version", "x"])]
#[case("help_for_a_misspelt_command", &["lnit", "-c", "isc.yaml"])]
#[case("help_for_a_command_behind_options", &["-c", "isc.yaml", "lint"])]
fn topics(#[case] name: &str, #[case] args: &[&str]) {
    insta::assert_snapshot!(name, context().run(args).snapshot());
}

#[test]
fn help_of_a_command_is_what_the_command_says() {
    for words in [&["list", "operators"][..], &["lint"], &["plugin", "run"], &[]] {
        let by_help = context().run(&[&["help"], words].concat()).expect_code(0);
        let by_itself = context().run(&[words, &["--help"]].concat()).expect_code(0);
        assert_eq!(by_help.raw_stdout, by_itself.raw_stdout, "{words:?}");
    }
}

#[test]
fn topics_fit_the_terminal() {
    let context = context();
    let Some(mut script) = on_terminal(&context.command(&["help", "registries"]), 50, 24) else { return };
    let output = script.output().expect("script runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && text.contains("Registries\r\n=========="), "{text}");
    for line in text.lines().filter(|line| !line.starts_with("    ")) {
        assert!(line.trim_end().chars().count() <= 50, "{line}");
    }
}

#[test]
fn pages_of_man() {
    let context = context();
    context.run(&["man", "pages"]).expect_code(0);
    let page = |name: &str| fs::read_to_string(context.work().join("pages").join(name)).expect(name);
    assert_eq!(
        page("man1/oc-mirror.1").trim_end(),
        context.run(&["man"]).expect_code(0).raw_stdout.trim_end()
    );
    assert!(page("man1/oc-mirror-list-operators.1").contains("\\-\\-catalog"));
    assert!(page("man7/oc-mirror-imagesets.7").contains(".SH \"FILES\""));
    let refused = context.run(&["man", "pages/man1/oc-mirror.1"]).expect_code(1);
    assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);

    // What reads them finds nothing to complain about.
    if !is_on_path("man") {
        return eprintln!("skipped: no man");
    }
    for name in fs::read_dir(context.work().join("pages/man7")).expect("pages") {
        let path = name.expect("a page").path();
        let output =
            Command::new("man").args(["--warnings", "-l"]).arg(&path).env("MANPAGER", "cat").output();
        let output = output.expect("man runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("warning"), "{}: {said}", path.display());
    }
}

#[test]
fn shells_can_read_their_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = context().run(&["completion", shell]).expect_code(0).raw_stdout;
        assert!(script.contains("operators") && script.contains("authfile"), "{shell}");
        assert!(!script.contains("policies -- 'Measure"), "{shell}");
    }
    let context = context();
    context.write("completion.bash", context.run(&["completion", "bash"]).raw_stdout);
    let asked = "source completion.bash; COMP_WORDS=(oc-mirror list op); COMP_CWORD=2; \
                 $(complete -p oc-mirror | sed 's/.*-F \\([^ ]*\\).*/\\1/') oc-mirror op list; echo ${COMPREPLY[*]}";
    let output = Command::new("bash").args(["-c", asked]).current_dir(context.work()).output();
    let Ok(output) = output else { return eprintln!("skipped: no bash") };
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "operators", "{output:?}");
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Gives the program the names by which kubectl finds it, and returns their directory.
fn links(context: &TestContext) -> PathBuf {
    let dir = context.work().join("bin");
    fs::create_dir(&dir).expect("a fresh directory");
    for name in ["kubectl-mirror", "kubectl_complete-mirror", "oc_complete-mirror"] {
        symlink(env!("CARGO_BIN_EXE_oc-mirror"), dir.join(name)).expect("a fresh directory");
    }
    dir
}

/// Runs a command of the context with another program.
fn run(context: &TestContext, program: &str, dir: &Path, args: &[&str]) -> Output {
    let ours = context.command::<&str>(&[]);
    let mut command = Command::new(program);
    command.args(args).env_clear().current_dir(context.work());
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(dir.to_owned()).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(path).expect("paths")).output().expect("the program runs")
}

#[test]
fn it_is_a_plugin_of_kubectl() {
    if !is_on_path("kubectl") {
        return eprintln!("skipped: no kubectl");
    }
    let context = context();
    let dir = links(&context);
    let kubectl = |args: &[&str]| run(&context, "kubectl", &dir, args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let version = kubectl(&["mirror", "version"]);
    assert_eq!(text(&version.stdout), format!("oc-mirror {}\n", env!("CARGO_PKG_VERSION")), "{version:?}");
    for args in [
        &["mirror", "--help"][..],
        &["mirror", "help"],
        &["mirror", "help", "lint"],
        &["mirror", "lint", "--help"],
    ] {
        let help = text(&kubectl(args).stdout);
        let usage = help.lines().find(|line| line.starts_with("Usage: ")).unwrap_or_default();
        assert!(usage.starts_with("Usage: kubectl mirror "), "{args:?}: {help}");
    }
    let wrong = kubectl(&["mirror", "lint"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("Usage: kubectl mirror lint"), "{wrong:?}");
    // Its own completion asks ours.
    let completed = text(&kubectl(&["__complete", "mirror", "list", "op"]).stdout);
    assert!(completed.starts_with("operators\tList operator catalogs"), "{completed}");
    let listed = text(&kubectl(&["plugin", "list"]).stdout);
    assert!(listed.contains("kubectl-mirror"), "{listed}");
}

#[test]
fn it_completes_for_oc() {
    let context = context();
    let dir = links(&context);
    let program = dir.join("oc_complete-mirror");
    let output = run(&context, program.to_str().expect("a path"), &dir, &["version", "-o", ""]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "text\tFor people\njson\tFor programs\nyaml\tFor programs, and people\n:4\n");
}

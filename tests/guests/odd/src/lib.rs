//! A guest that misbehaves as its settings say, so that the host can be tested against it.
//!
//! [`Odd`] implements the worlds content-source, policy and static-policy; [`Settings::at`] says in which call it
//! shows its [`Behaviour`]. In all other calls it is quiet: it collects one image and allows everything.

mod forge;
mod reach;

use oc_mirror_plugin_sdk::host::{log, progress};
use oc_mirror_plugin_sdk::{
    ContentSource, Error, Image, ImageRequest, Plugin, Policy, Problem, Sink, StaticPolicy, Summary, Verdict,
    export_plugin, finding, problem,
};
use serde::Deserialize;

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Behaviour {
    /// Nothing odd.
    Quiet,
    /// Never returns.
    Spin,
    /// Allocates until it is refused, which traps.
    Hog,
    /// Asks for nearly all memory that there can be, at once.
    Grab,
    /// Calls itself until there is no stack.
    Recurse,
    /// Logs one line of `count` KiB.
    Shout,
    /// Hands over names, digests and paths that the host must not take, and tells what it answered.
    Forge,
    /// Emits `count` images.
    Emit,
    /// Panics after it has emitted half of its images.
    Trap,
    /// Emits `count` images, log lines, warnings and findings, full of escape sequences.
    Flood,
    /// Calls every host function and tells what each answered.
    Reach,
    /// Polls for cancellation and never does anything else.
    Linger,
    /// Forgets to free so many KiB in each call, and answers.
    Leak,
}

/// What it does, when, and with what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    behaviour: Behaviour,
    /// "configure", "collect", "evaluate", "evaluate-references"; nothing: in all but `configure`.
    #[serde(default)]
    at: Option<String>,
    #[serde(default = "thousand")]
    count: u32,
    /// The image that `reach` asks for.
    #[serde(default = "example_image")]
    reference: String,
    /// An image to ask for as a release, without having it verified, instead of the usual one.
    #[serde(default)]
    release: Option<String>,
    /// The address that `reach` fetches.
    #[serde(default = "example_url")]
    url: String,
    /// The credential that `reach` names.
    #[serde(default = "example_credential")]
    credential: String,
    /// The path that `reach` writes an artifact to.
    #[serde(default = "example_artifact")]
    artifact: String,
    /// The cluster resource that `reach` writes.
    #[serde(default = "example_document")]
    document: String,
}

fn thousand() -> u32 {
    1000
}

fn example_image() -> String {
    "registry.example/reach:1".to_owned()
}

fn example_url() -> String {
    "https://www.example/reach".to_owned()
}

fn example_credential() -> String {
    "reach".to_owned()
}

fn example_artifact() -> String {
    "reach/artifact.txt".to_owned()
}

fn example_document() -> String {
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: reach\n".to_owned()
}

/// A line that tries to break out of a log: colour, a cursor movement, a new line with a false level, a bell, a
/// right-to-left override.
const HOSTILE_LINE: &str = "\u{1b}[31mred\u{1b}[2A\r\nERROR forged: line\u{7}\u{202e}";

/// The guest.
struct Odd(Settings);

impl Plugin for Odd {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        let odd = Self(settings);
        if odd.0.at.as_deref() == Some("configure") {
            match odd.0.behaviour {
                Behaviour::Reach => {
                    odd.log_lines(1);
                    let told = reach::from_configure(&odd.0);
                    return Err(told
                        .into_iter()
                        .map(|(call, answer)| problem(call, "odd", answer))
                        .collect());
                }
                Behaviour::Flood => {
                    return Err((0..odd.0.count)
                        .map(|n| problem(format!("x[{n}]"), "odd", HOSTILE_LINE))
                        .collect());
                }
                _ => odd.misbehave("configure"),
            }
        }
        Ok(odd)
    }
}

impl Odd {
    fn shows(&self, at: &str) -> Option<Behaviour> {
        self.0.at.as_deref().is_none_or(|wanted| wanted == at).then_some(self.0.behaviour)
    }

    /// The behaviours that are the same everywhere and do not return.
    fn misbehave(&self, at: &str) {
        match self.shows(at) {
            Some(Behaviour::Spin) => spin(),
            Some(Behaviour::Hog) => hog(),
            Some(Behaviour::Grab) => grab(),
            Some(Behaviour::Recurse) => drop(recurse(0)),
            Some(Behaviour::Shout) => {
                let line = "x".repeat(self.0.count as usize * 1024);
                log::log(log::Level::Info, &line, &[]);
            }
            Some(Behaviour::Trap) => panic!("as the settings say"),
            Some(Behaviour::Leak) => {
                std::mem::forget(std::hint::black_box(vec![1u8; self.0.count as usize * 1024]))
            }
            Some(Behaviour::Linger) => {
                while !progress::cancelled() {
                    std::hint::spin_loop();
                }
            }
            _ => {}
        }
    }

    fn log_lines(&self, count: u32) {
        let fields = [("key\u{1b}[0m".to_owned(), HOSTILE_LINE.to_owned())];
        for number in 0..count {
            log::log(log::Level::Info, &format!("{number} {HOSTILE_LINE}"), &fields);
        }
    }

    fn emit(&self, out: &Sink, count: u32) -> Result<Summary, Error> {
        let mut images = 0;
        for start in (0..count).step_by(500) {
            let batch: Vec<_> = (start..count.min(start + 500)).map(image).collect();
            images += u64::from(out.images(&batch)?);
        }
        Ok(Summary { images, generated: 0, skipped: 0 })
    }
}

/// Counts for ever. The number is looked at, or the loop would be optimised away.
fn spin() {
    let mut number = 0u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

/// Allocates for ever, and touches what it gets.
fn hog() {
    let mut kept = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

/// Allocates half of what 32 bits can address, which is the most that one value can have. A second one would not fit.
fn grab() {
    let all: Vec<Vec<u8>> = (0..2).map(|_| vec![1u8; (1 << 31) - (1 << 16)]).collect();
    std::hint::black_box(all);
}

/// Never comes to an end in practice. What is done afterwards keeps the compiler from making a loop of it, and it has no
/// variables in memory, whose own stack would be used up first.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    match depth {
        u64::MAX => 0,
        depth => recurse(depth + 1).wrapping_mul(depth | 1) ^ depth,
    }
}

fn image(number: u32) -> ImageRequest {
    ImageRequest {
        source: format!("registry.example/odd/image-{number}:1"),
        origin: format!("registry.example/odd/image-{number}:1"),
        kind: "additional".to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: vec![],
        with_referrers: false,
        provenance: vec![("plugin".to_owned(), "odd".to_owned())],
    }
}

impl ContentSource for Odd {
    fn collect(&self, out: &Sink) -> Result<Summary, Error> {
        match self.shows("collect") {
            Some(Behaviour::Trap) => {
                self.emit(out, self.0.count / 2)?;
                self.misbehave("collect");
            }
            Some(Behaviour::Flood) => {
                self.log_lines(self.0.count);
                for _ in 0..self.0.count {
                    out.warn("odd.flood", HOSTILE_LINE);
                }
                return self.emit(out, self.0.count);
            }
            Some(Behaviour::Emit) => return self.emit(out, self.0.count),
            Some(Behaviour::Forge) => {
                for (what, answer) in forge::from_source(out) {
                    out.warn(&format!("forge.{what}"), &answer);
                }
            }
            Some(Behaviour::Reach) => {
                for (call, answer) in reach::from_source(&self.0, out) {
                    out.warn(&format!("reach.{call}"), &answer);
                }
            }
            _ => self.misbehave("collect"),
        }
        match &self.0.release {
            None => self.emit(out, 1),
            Some(name) => {
                let (source, origin, kind) = (name.clone(), name.clone(), "release".to_owned());
                let images = out.images(&[ImageRequest { source, origin, kind, ..image(0) }])?;
                Ok(Summary { images: u64::from(images), generated: 0, skipped: 0 })
            }
        }
    }
}

impl Policy for Odd {
    fn evaluate(&self, _: &ImageRequest, image: &Image) -> Result<Verdict, Error> {
        Ok(match self.shows("evaluate") {
            Some(Behaviour::Flood) => self.flood(),
            Some(Behaviour::Reach) => answers(reach::from_policy(&self.0, image)),
            _ => {
                self.misbehave("evaluate");
                Verdict::Allow
            }
        })
    }
}

impl StaticPolicy for Odd {
    fn evaluate_reference(&self, _: &ImageRequest) -> Verdict {
        match self.shows("evaluate-references") {
            Some(Behaviour::Flood) => self.flood(),
            Some(Behaviour::Reach) => answers(reach::from_anywhere(&self.0)),
            _ => {
                self.misbehave("evaluate-references");
                Verdict::Allow
            }
        }
    }
}

impl Odd {
    fn flood(&self) -> Verdict {
        self.log_lines(self.0.count);
        Verdict::Deny((0..self.0.count).map(|_| finding("odd.flood", HOSTILE_LINE, [])).collect())
    }
}

fn answers(told: Vec<(&'static str, String)>) -> Verdict {
    Verdict::Warn(
        told.into_iter().map(|(call, answer)| finding(&format!("reach.{call}"), answer, [])).collect(),
    )
}

export_plugin!(Odd: source, policy, static_policy);

//! Feeds a target with its seeds, and with changes of them that are the same on every run.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::memory;
use crate::target::Target;

/// How many changed seeds a target is fed with.
const RUNS: usize = 600;
/// A target that takes longer is fed with fewer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Memory is counted for the process, so there is one target at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Feeds a target. Its seeds are in a directory of its name.
pub(crate) fn replay(target: &Target) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds").join(target.name);
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut known = read(&seeds);
    assert!(!known.is_empty(), "there are no seeds in {}", seeds.display());
    for seed in &known {
        feed(target, seed);
    }
    known.push(Vec::new());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let start = Instant::now();
    for _ in 0..RUNS {
        if start.elapsed() > PATIENCE {
            break;
        }
        let input = changed(&known, &mut random, target.longest);
        feed(target, &input);
    }
}

/// Fails unless the allocator notes what is held. The threads of the test harness may give some kilobytes back meanwhile.
pub(crate) fn assert_memory_is_counted() {
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = memory::held();
    let held = memory::within(64 << 20, || vec![0_u8; 32 << 20]);
    let peak = memory::peak(before);
    assert!(peak >= 31 << 20, "{peak}");
    drop(held);
}

/// Fails unless these are the targets of `cargo fuzz` whose sources have this text.
pub(crate) fn assert_none_is_left_out(text: &str, known: &[&str]) {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/fuzz_targets");
    let sources = std::fs::read_dir(targets).expect("the targets").flatten().map(|entry| entry.path());
    let mine = sources.filter(|path| std::fs::read_to_string(path).is_ok_and(|source| source.contains(text)));
    let mut names: Vec<String> =
        mine.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort();
    assert_eq!(names, known);
}

fn read(dir: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
}

fn feed(target: &Target, input: &[u8]) {
    let _kept = Kept { target, input };
    target.run(input);
}

/// Keeps the input where a property does not hold, so that it can become a seed.
struct Kept<'a> {
    target: &'a Target,
    input: &'a [u8],
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = std::env::temp_dir().join(format!("oc-mirror-fuzz-{}", self.target.name));
            if std::fs::write(&path, self.input).is_ok() {
                eprintln!("the input is in {}", path.display());
            }
        }
    }
}

/// Numbers that look random and are always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % most.max(1)
    }
}

/// What parsers tend to mind.
const PIECES: [&[u8]; 24] = [
    b"",
    b"\0",
    b"\n",
    b"..",
    b"/",
    b"\xff\xff\xff\xff",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"null",
    b"-1",
    b"18446744073709551615",
    b"1e999",
    b"&a",
    b"*a",
    b": ",
    b"---\n",
    b"<<",
    b"\xf0\x9f\x92\xa9",
    b"\xe2\x80\xae",
    b"{{",
    b"sha256:",
];

/// Makes an input of some seeds.
fn changed(known: &[Vec<u8>], random: &mut Random, longest: usize) -> Vec<u8> {
    let mut input = known[random.below(known.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(16)).min(input.len());
        match random.below(7) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.below(256) as u8,
            2 => drop(input.drain(at..end)),
            3 => drop(input.splice(at..end, PIECES[random.below(PIECES.len())].iter().copied())),
            4 => {
                let other = &known[random.below(known.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            5 => {
                let again = input[at..end].repeat(1 + random.below(40));
                input.splice(at..at, again);
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(longest);
    input
}

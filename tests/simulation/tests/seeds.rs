//! Seeds that once broke a promise, and some that never did.

use std::sync::Mutex;

use oc_mirror_simulation::world::{self, Account};

/// What each of these found. They are run for good. A seed makes another world when what draws from it changes; that a fault
/// would be found again is what `cargo xtask simulate --mutants` shows, where each of these has its place.
const FOUND: &[(u64, &str)] = &[
    (
        445,
        "chunks that a killed run had named, without the one that holds the index, stopped every further run",
    ),
    (581, "the same, at a later sequence"),
    (501, "an imageset was taken up before its name was durable, and was lost with the power"),
    (2549, "a publisher that lost had moved a tag back, and found nothing to do when it came again"),
    (4250, "the same"),
    (3473, "a workspace was lost with the power after the record at the target had gone on"),
    (
        10040,
        "a chunk was made anew, and the journal still said what was finished in the old one: zeros were sealed",
    ),
    (
        230285,
        "an earlier plan's journal was set aside, and the power took that its chunks had lost their names",
    ),
    (
        253312,
        "a journal was gone on with of which a sync had failed, and the power took the note that chunks got their names",
    ),
    (
        267406,
        "the place of an empty file that an earlier run had left could not be given back, and every run stopped there",
    ),
];

/// One process simulates one world at a time.
static WORLD: Mutex<()> = Mutex::new(());

fn run(seed: u64) -> Account {
    let dir = ["/dev/shm", "/tmp"].iter().find_map(|place| tempfile::tempdir_in(place).ok());
    let dir = dir.expect("a directory");
    let (outcome, _) = world::run(seed, dir.path(), false);
    outcome.unwrap_or_else(|what| panic!("seed {seed} breaks a promise: {what}"))
}

#[test]
fn what_was_found_stays_mended() {
    let _one = WORLD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (seed, what) in FOUND {
        println!("{seed}: {what}");
        run(*seed);
    }
}

#[test]
fn some_seeds() {
    let _one = WORLD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut sum = Account::default();
    for seed in 1..=300 {
        let account = run(seed);
        sum.kills += account.kills;
        sum.losses += account.losses;
        sum.failures += account.failures;
    }
    // A world in which nothing happens proves nothing.
    assert!(sum.kills > 100 && sum.losses > 100 && sum.failures > 100, "{sum:?}");
}

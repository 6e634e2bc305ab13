//! What is shown while access changes all the time, and that what holds it against the truth finds mistakes.

use std::time::Duration;

use crate::history::{Extent, Fault, Play, TAMPERINGS, bugs, kinds};

/// Others can be tried with `HISTORY_SEED`.
const SEEDS: [u64; 2] = [11, 22];

/// How long a run with a mistake waits for events that need not come.
const IN_VAIN: Duration = Duration::from_secs(1);

/// In one of so many runs a mistake has to show.
const RUNS: u64 = 5;

fn seeds() -> Vec<u64> {
    match std::env::var("HISTORY_SEED") {
        Ok(seed) => vec![seed.parse().expect("HISTORY_SEED is a number")],
        Err(_) => SEEDS.into(),
    }
}

#[tokio::test]
async fn what_is_shown_is_what_is_allowed_at_the_time() {
    for seed in seeds() {
        let played = Play::new(seed).play().await;
        played.is_right();
        let extent @ Extent { events, deliveries, shown, held, ended } = Extent::of(&played.history);
        println!("seed {seed}: {extent:?}");
        let enough = events > 200 && deliveries > 1_000 && shown > 1_000 && held > 500 && ended > 3;
        assert!(enough, "seed {seed}: there was something to look at: {extent:?}");
        for (fault, tamper) in TAMPERINGS {
            let mut history = played.history.clone();
            tamper(&mut history);
            let found = kinds(&played.findings(&history));
            assert!(found.contains(&fault), "seed {seed}: {fault:?} is not found, but {found:?}");
        }
    }
}

/// The checker finds a mistake as what it is: something is shown that must not be. Whether a run has such an event hangs on what
/// comes together in it; what no run finds is not found.
async fn is_found(between: bugs::Between) {
    for seed in 0..RUNS {
        let played = Play { between, patience: IN_VAIN, ..Play::new(seed) }.play().await;
        let findings = played.findings(&played.history);
        println!("seed {seed}: {} findings, {:?}", findings.len(), kinds(&findings));
        if kinds(&findings).contains(&Fault::Shown) {
            return;
        }
    }
    panic!("nothing was found in {RUNS} runs");
}

#[tokio::test]
async fn a_batch_that_is_decided_by_its_head_is_found() {
    is_found(bugs::the_heads_decision_is_reused).await;
}

#[tokio::test]
async fn a_decision_that_heeds_no_revision_is_found() {
    is_found(bugs::the_revision_is_ignored).await;
}

#[tokio::test]
async fn a_grant_whose_end_nobody_waits_for_is_found() {
    is_found(bugs::the_timer_is_dropped).await;
}

//! Histories: gateways run, relationships change, events come, and everything that anybody was shown is held against what
//! she was allowed to see when it was decided.
//!
//! What is allowed when follows from the changes, by the evaluator that was held against SpiceDB, and is held against what
//! the real parts answer after each change. On the real parts there are two gateways and another client of SpiceDB.

mod bugs;
mod changes;
mod checker;
mod people;
mod play;
mod record;
mod tampered;
mod truth;
mod watcher;

use std::time::Duration;

use self::{
    checker::{Fault, kinds},
    play::{Between, Extent, play},
    tampered::TAMPERINGS,
};
use crate::harness::DEADLINE;

/// Others can be tried with `HISTORY_SEED`.
const SEEDS: [u64; 3] = [11, 22, 33];

/// How long a run with a mistake waits for events that need not come.
const IN_VAIN: Duration = Duration::from_secs(1);

/// How often a run with a mistake is tried until the checker sees it: by chance, one run may give no occasion for it.
const OCCASIONS: u64 = 5;

fn seeds() -> Vec<u64> {
    match std::env::var("HISTORY_SEED") {
        Ok(seed) => vec![seed.parse().expect("HISTORY_SEED is a number")],
        Err(_) => SEEDS.into(),
    }
}

#[tokio::test]
async fn what_is_shown_is_what_is_allowed_at_the_time() {
    for seed in seeds() {
        let played = play(seed, |real| real, DEADLINE).await;
        let (findings, extent) = (played.findings(&played.history), Extent::of(&played.history));
        let told: Vec<_> = findings.iter().take(10).map(ToString::to_string).collect();
        assert!(findings.is_empty(), "seed {seed}: {} findings, such as {told:#?}; {extent:?}", findings.len());
        println!("seed {seed}: {extent:?}");
        let Extent { events, deliveries, shown, held, ended } = extent;
        let enough = events > 200 && deliveries > 1_000 && shown > 1_000 && held > 500 && ended > 5;
        assert!(enough, "seed {seed}: there was something to look at: {extent:?}");
        for (fault, tamper) in TAMPERINGS {
            let mut history = played.history.clone();
            tamper(&mut history);
            let found = kinds(&played.findings(&history));
            assert!(found.contains(&fault), "seed {seed}: {fault:?} is not found, but {found:?}");
        }
    }
}

/// The checker finds a mistake as what it is: something is shown that must not be.
async fn is_found(between: Between) {
    for seed in 0..OCCASIONS {
        let played = play(seed, between, IN_VAIN).await;
        let findings = played.findings(&played.history);
        println!("seed {seed}: {} findings, {:?}", findings.len(), kinds(&findings));
        if kinds(&findings).contains(&Fault::Shown) {
            return;
        }
    }
    panic!("nothing was found in {OCCASIONS} runs");
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

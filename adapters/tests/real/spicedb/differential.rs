//! SpiceDB and the embedded evaluator on the same random relationships under `sluice.zed`: the same answers.
//!
//! `DIFFERENTIAL_SEED` repeats a run. A hundred sets share a tenant, in which every object but the users is of one set, so
//! that no set has a part in another's answers.

mod random;
mod shrink;

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use sluice_subscriptions::relationships::{
    Check, Consistency, Embedded, NoJournal, Relationships, SCHEMA, Update, required_permissions,
};

use self::random::Random;

const SETS: usize = 20_000;
const SETS_TOGETHER: usize = 100;
const BATCHES_AT_ONCE: usize = 3;

/// How often each name was answered with no and with yes.
type Coverage = BTreeMap<Arc<str>, [usize; 2]>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spicedb_and_the_embedded_evaluator_answer_alike() {
    let seed = env::var("DIFFERENTIAL_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("DIFFERENTIAL_SEED={seed}");
    let (began, run) = (Timestamp::now(), Timestamp::now().as_microsecond());
    let spicedb = Arc::new(super::connect().await);
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..BATCHES_AT_ONCE {
        let (spicedb, next) = (spicedb.clone(), next.clone());
        workers.spawn(async move {
            let mut coverage = Coverage::new();
            loop {
                let batch = next.fetch_add(1, Ordering::Relaxed);
                if batch >= SETS / SETS_TOGETHER {
                    return coverage;
                }
                let random = Random::new(seed, batch, &format!("differential-{run}-{batch}"));
                compare(&*spicedb, random, &mut coverage).await;
            }
        });
    }
    let mut coverage = Coverage::new();
    while let Some(part) = workers.join_next().await {
        part.unwrap().into_iter().for_each(|(name, counts)| add(&mut coverage, name, counts));
    }
    let asked: usize = coverage.values().flatten().sum();
    println!("{SETS} sets, {asked} checks, {:#}", Timestamp::now() - began);
    assert_covered(&coverage);
}

/// Writes a batch of sets to both and asks both the same.
async fn compare(spicedb: &dyn Relationships, mut random: Random, coverage: &mut Coverage) {
    let embedded = embedded().await;
    let writes = random.writes(SETS_TOGETHER);
    for updates in &writes {
        embedded.write(updates.clone()).await.unwrap();
        spicedb.write(updates.clone()).await.unwrap();
    }
    let checks = random.checks(SETS_TOGETHER);
    let expected = embedded.check_many(Consistency::Full, &checks).await.unwrap().allowed;
    let answered = spicedb.check_many(Consistency::Full, &checks).await.unwrap().allowed;
    for ((check, expected), answered) in checks.iter().zip(&expected).zip(&answered) {
        if expected != answered {
            let smallest = shrink::shrink(spicedb, &writes, check).await;
            panic!("{check:?}: SpiceDB says {answered}, the embedded evaluator {expected}, on {smallest:#?}");
        }
        let mut counts = [0, 0];
        counts[usize::from(*expected)] = 1;
        add(coverage, check.permission.clone(), counts);
    }
}

async fn embedded() -> Embedded {
    Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.unwrap()
}

fn add(coverage: &mut Coverage, name: Arc<str>, [no, yes]: [usize; 2]) {
    let counts = coverage.entry(name).or_default();
    counts[0] += no;
    counts[1] += yes;
}

/// Every permission of the schema was refused and granted many times.
fn assert_covered(coverage: &Coverage) {
    for (name, [no, yes]) in coverage {
        println!("{name}: {no} no, {yes} yes");
    }
    let others = random::OTHER_PERMISSIONS;
    for name in random::MEMBER_PERMISSIONS.into_iter().chain(others.map(|(_, permission)| permission)) {
        let [no, yes] = coverage[name];
        assert!(no >= SETS / 40 && yes >= SETS / 40, "{name}: {no} no, {yes} yes");
    }
    let asked = random::MEMBER_PERMISSIONS;
    assert!(required_permissions().all(|name| asked.contains(&name)), "a permission that Sluice asks about is missing");
    let defined = SCHEMA.lines().filter(|line| line.trim_start().starts_with("permission ")).count();
    assert_eq!(defined, asked.len() + others.len(), "the schema has permissions that this test does not ask about");
}

/// The updates of all writes, one after another.
fn joined(writes: &[Vec<Update>]) -> Vec<Update> {
    writes.iter().flatten().cloned().collect()
}

/// The set that a check is about: the part of its resource's id before the dash.
fn set_of(check: &Check) -> &str {
    check.resource.id.split('-').next_back().unwrap_or_default()
}

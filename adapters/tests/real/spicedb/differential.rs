//! SpiceDB and the embedded evaluator on the same random relationships, under `sluice.zed` and under random schemas: the same
//! answers.
//!
//! `DIFFERENTIAL_SEED` repeats a run. Many sets share a tenant, in which every object but the users is of one set, so
//! that no set has a part in another's answers.

mod random;
mod random_schema;
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
use sluice_adapters::spicedb::SpiceDb;
use sluice_subscriptions::relationships::{
    Check, Consistency, Embedded, NoJournal, Relationships, SCHEMA, Update, sluice_zed,
};

use self::random::{Random, World};
use super::own_server::OwnServer;

/// Of relationships under `sluice.zed`.
const SETS: usize = 3000;
const SETS_TOGETHER: usize = 40;
const LARGEST_SET: usize = 24;
const BATCHES_AT_ONCE: usize = 3;

const RANDOM_SCHEMAS: usize = 40;
const SETS_OF_EACH: usize = 20;

/// How often each permission was answered with no and with yes.
type Coverage = BTreeMap<(String, String), [usize; 2]>;

fn seed() -> u64 {
    let seed = env::var("DIFFERENTIAL_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("DIFFERENTIAL_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spicedb_and_the_embedded_evaluator_answer_alike() {
    let seed = seed();
    let (began, run) = (Timestamp::now(), Timestamp::now().as_microsecond());
    let spicedb = Arc::new(super::connect().await);
    let world = Arc::new(World::of(SCHEMA, false));
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..BATCHES_AT_ONCE {
        let (spicedb, world, next) = (spicedb.clone(), world.clone(), next.clone());
        workers.spawn(async move {
            let mut coverage = Coverage::new();
            loop {
                let batch = next.fetch_add(1, Ordering::Relaxed);
                if batch >= SETS / SETS_TOGETHER {
                    return coverage;
                }
                let mut random = Random::new(&world, seed, batch, &format!("differential-{run}-{batch}"));
                let (writes, checks) = (random.writes(SETS_TOGETHER, LARGEST_SET), random.checks(SETS_TOGETHER));
                compare(SCHEMA, &*spicedb, &writes, &checks, &mut coverage).await;
            }
        });
    }
    let mut coverage = Coverage::new();
    while let Some(part) = workers.join_next().await {
        part.unwrap().into_iter().for_each(|(name, counts)| add(&mut coverage, name, counts));
    }
    let asked: usize = coverage.values().flatten().sum();
    println!("{SETS} sets, {asked} checks, {:#}", Timestamp::now() - began);
    assert_covered(&world, &coverage);
}

#[tokio::test]
async fn spicedb_answers_as_the_tables_say() {
    let tenant = format!("tables-{}", Timestamp::now().as_nanosecond()).parse().unwrap();
    sluice_zed::each_role_has_just_its_permissions(&super::connect().await, &tenant).await;
}

#[tokio::test]
async fn spicedb_shows_what_the_documents_say() {
    let tenant = format!("shown-{}", Timestamp::now().as_nanosecond()).parse().unwrap();
    let spicedb = Arc::new(super::connect_following().await);
    sluice_zed::each_role_is_shown_just_what_the_documents_say(spicedb, &tenant).await;
}

#[tokio::test]
async fn they_answer_alike_under_random_schemas() {
    let mut rng = fastrand::Rng::with_seed(seed());
    let server = OwnServer::start().await;
    let mut coverage = Coverage::new();
    for number in 0..RANDOM_SCHEMAS {
        let schema = random_schema::schema(&mut rng);
        let spicedb = SpiceDb::connect(&server.options(), &schema).await.unwrap();
        spicedb.ensure_schema(true).await.unwrap_or_else(|error| panic!("{error}\n{schema}"));
        let world = World::of(&schema, true);
        let mut random = Random::new(&world, rng.u64(..), number, &format!("random-{number}"));
        let (writes, checks) = (random.writes(SETS_OF_EACH, 24), random.checks(SETS_OF_EACH));
        compare(&schema, &spicedb, &writes, &checks, &mut coverage).await;
    }
    let [no, yes] = coverage.values().fold([0, 0], |[no, yes], one| [no + one[0], yes + one[1]]);
    println!("{RANDOM_SCHEMAS} schemas: {no} no, {yes} yes");
    assert!(no.min(yes) > (no + yes) / 20, "{no} no, {yes} yes");
}

/// Writes sets to both and asks both the same.
async fn compare(
    schema: &str,
    spicedb: &dyn Relationships,
    writes: &[Vec<Update>],
    checks: &[Check],
    coverage: &mut Coverage,
) {
    let embedded = embedded(schema).await;
    for updates in writes {
        embedded.write(updates.clone()).await.unwrap();
        spicedb.write(updates.clone()).await.unwrap();
    }
    let expected = embedded.check_many(Consistency::Full, checks).await.unwrap().allowed;
    let answered = spicedb.check_many(Consistency::Full, checks).await.unwrap().allowed;
    for ((check, expected), answered) in checks.iter().zip(&expected).zip(&answered) {
        if expected != answered {
            let smallest = shrink::shrink(schema, spicedb, writes, check).await;
            panic!(
                "{check:?}: SpiceDB says {answered}, the embedded evaluator {expected}, on {smallest:#?}, under\n{schema}"
            );
        }
        let mut counts = [0, 0];
        counts[usize::from(*expected)] = 1;
        add(coverage, (check.resource.object_type.to_string(), check.permission.to_string()), counts);
    }
}

async fn embedded(schema: &str) -> Embedded {
    Embedded::open(schema, NoJournal, Arc::new(Timestamp::now)).await.unwrap()
}

fn add(coverage: &mut Coverage, name: (String, String), [no, yes]: [usize; 2]) {
    let counts = coverage.entry(name).or_default();
    counts[0] += no;
    counts[1] += yes;
}

/// Every permission of the schema was refused and granted many times.
fn assert_covered(world: &World, coverage: &Coverage) {
    for ((object_type, permission), [no, yes]) in coverage {
        println!("{object_type}#{permission}: {no} no, {yes} yes");
    }
    for name in &world.permissions {
        let [no, yes] = coverage[name];
        assert!(no >= SETS / 150 && yes >= SETS / 150, "{name:?}: {no} no, {yes} yes");
    }
}

/// The updates of all writes, one after another.
fn joined(writes: &[Vec<Update>]) -> Vec<Update> {
    writes.iter().flatten().cloned().collect()
}

/// The set that a check is about: the part of its resource's id before the dash.
fn set_of(check: &Check) -> &str {
    check.resource.id.split('-').next_back().unwrap_or_default()
}

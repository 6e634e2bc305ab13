//! The guard of it all: whatever viewers, documents, events and relations there are, the bytes that each viewer gets through
//! the running engine, which decides, redacts and renders for many at a time, are those of a fresh execution for her alone.

mod documents;
mod events;
mod people;
mod tape;
mod watching;
mod world;

use std::{cell::Cell, collections::HashMap};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sluice_subscriptions::audit::Action;

use self::{
    documents::{Document, ROOTS},
    tape::Tape,
    watching::{Target, Watching, request},
    world::World,
};

#[derive(Debug, Clone)]
enum Step {
    /// A change of a check after another.
    Publish {
        check: u8,
        tapes: Vec<Vec<u8>>,
    },
    /// A relation is added or removed.
    Relate(u8),
    Watch(Watch),
}

#[derive(Debug, Clone)]
struct Watch {
    person: u8,
    purpose: u8,
    /// One of the case's.
    document: u8,
    values: [Option<bool>; 2],
}

#[derive(Debug, Clone)]
struct Case {
    shards: usize,
    /// What does not hold to begin with.
    unrelated: u32,
    documents: Vec<(u8, Vec<u8>)>,
    watches: Vec<Watch>,
    steps: Vec<Step>,
}

fn watch() -> impl Strategy<Value = Watch> {
    let one = (any::<u8>(), any::<u8>(), any::<u8>(), any::<bool>(), any::<Option<bool>>());
    one.prop_map(|(person, purpose, document, first, second)| Watch {
        person,
        purpose,
        document,
        values: [Some(first), second],
    })
}

fn case() -> impl Strategy<Value = Case> {
    let step = prop_oneof![
        4 => (any::<u8>(), vec(vec(any::<u8>(), 0..160), 1..3)).prop_map(|(check, tapes)| Step::Publish { check, tapes }),
        2 => any::<u8>().prop_map(Step::Relate),
        1 => watch().prop_map(Step::Watch),
    ];
    // A few relations are missing to begin with; most are there.
    let unrelated = (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(a, b, c)| a & b & c);
    let documents = vec((any::<u8>(), vec(any::<u8>(), 0..120)), 1..4);
    (1usize..4, unrelated, documents, vec(watch(), 4..14), vec(step, 1..8)).prop_map(
        |(shards, unrelated, documents, watches, steps)| Case { shards, unrelated, documents, watches, steps },
    )
}

/// What there was in all cases together: a guard over nothing would be none.
#[derive(Debug, Default)]
struct Tally {
    cases: Cell<usize>,
    documents: Cell<usize>,
    invalid: Cell<usize>,
    deliveries: Cell<usize>,
    classes: Cell<usize>,
    shared: Cell<usize>,
}

fn add(cell: &Cell<usize>, more: usize) {
    cell.set(cell.get() + more);
}

const CHANNELS: [&str; 3] = ["/**", "/members/m-1/eligibility/*", "/members/*/eligibility/ec-1"];

/// A document, and what it is about; `None` is JSON.
fn document((root, tape): &(u8, Vec<u8>)) -> Option<(Target, Document)> {
    let mut tape = Tape::new(tape);
    let (root, target) = match root % 8 {
        0..=2 => (0, Target::Channel(CHANNELS[tape.below(CHANNELS.len())])),
        3 | 4 => (1, Target::Member(["m-1", "m-2"][tape.below(2)])),
        5 | 6 => (2, Target::Check(tape.below(3))),
        _ => return None,
    };
    let document = Document::random(&ROOTS[root], target.at(), false, tape);
    Some((target, document))
}

struct Run<'t> {
    world: World,
    documents: Vec<Option<(Target, Document)>>,
    watching: Vec<Watching>,
    tally: &'t Tally,
}

impl Run<'_> {
    async fn watch(&mut self, watch: &Watch) {
        let viewer = people::viewer(watch.person, watch.purpose);
        let watching = match &self.documents[usize::from(watch.document) % self.documents.len()] {
            None => Watching::json(&self.world, viewer).await,
            Some((target, document)) => {
                let raw = request(document, target, watch.values);
                let Some(watching) = Watching::graphql(&self.world, viewer, target.clone(), raw).await else { return };
                watching
            }
        };
        self.watching.push(watching);
    }

    async fn publish(&mut self, check: u8, tapes: &[Vec<u8>]) {
        let recorded_before = self.world.audit.records().len();
        let mut published = Vec::new();
        for tape in tapes {
            published.push(self.world.publish(check, Tape::new(tape)).await);
        }
        self.world.settled().await;
        let mut delivered = 0;
        for watching in &mut self.watching {
            watching.settled(&self.world).await;
            delivered += watching.check(&self.world, &published).await;
        }
        add(&self.tally.deliveries, delivered);
        self.audited(recorded_before, delivered);
    }

    /// Each delivery is on record, once.
    fn audited(&self, before: usize, delivered: usize) {
        let mut audiences = HashMap::new();
        for (number, record) in self.world.audit.records().into_iter().skip(before).enumerate() {
            if let Action::Deliver { audience, .. } = record.action {
                audiences.insert(number, audience.recipients().len());
            }
        }
        assert_eq!(audiences.values().sum::<usize>(), delivered, "what was delivered and what is on record");
        add(&self.tally.classes, audiences.len());
        add(&self.tally.shared, audiences.values().filter(|recipients| **recipients > 1).count());
    }

    async fn relate(&mut self, relation: u8) {
        let update = self.world.related.toggle(relation);
        self.world.relationships.write(vec![update]).await.expect("it fits the schema");
        for watching in &mut self.watching {
            watching.heed(&self.world).await;
        }
    }
}

async fn run(case: &Case, tally: &Tally) {
    let world = World::new(case.shards, people::AT_FIRST & !case.unrelated).await;
    let documents: Vec<_> = case.documents.iter().map(document).collect();
    for (target, document) in documents.iter().flatten() {
        let valid = watching::alone(&request(document, target, [Some(true); 2])).await.is_some();
        add(&tally.documents, 1);
        add(&tally.invalid, usize::from(!valid));
    }
    let mut run = Run { world, documents, watching: vec![], tally };
    // There is something to begin with.
    for check in 0..3 {
        run.publish(check, &[vec![]]).await;
    }
    for watch in &case.watches {
        run.watch(watch).await;
    }
    for step in &case.steps {
        match step {
            Step::Publish { check, tapes } => run.publish(*check, tapes).await,
            Step::Relate(relation) => run.relate(*relation).await,
            Step::Watch(watch) => run.watch(watch).await,
        }
    }
}

#[test]
fn every_viewer_gets_the_bytes_of_a_fresh_execution_for_her_alone() {
    let tally = Tally::default();
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let ran = TestRunner::new(config).run(&case(), |case| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        add(&tally.cases, 1);
        runtime.block_on(run(&case, &tally));
        Ok(())
    });
    eprintln!("{tally:?}");
    if let Err(failed) = ran {
        panic!("{failed}");
    }
    let Tally { documents, invalid, deliveries, classes, shared, .. } = tally;
    assert!(invalid.get() * 4 < documents.get(), "most documents are valid");
    assert!(shared.get() * 10 > classes.get() && shared.get() > 100, "many share");
    assert!(deliveries.get() > 1000, "there is something to look at");
}

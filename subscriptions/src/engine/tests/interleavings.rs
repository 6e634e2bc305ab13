//! Whatever happens, in whatever order: each client gets what it may see, once, in order, and on record.
//!
//! A list of steps is carried out on an engine of twins, on the paused clock. The [`model`] knows what was published and who had
//! which rights when, and nothing of shards, batches, classes or kept decisions.

mod model;
mod shapes;
mod twins;
mod world;

use std::time::Duration;

use proptest::{prelude::*, sample::select};
use sluice_schema::position::Partition;

use self::{
    model::{Client, MEMBERS, TENANTS},
    shapes::SHAPES,
    world::World,
};
use super::bench::{PARTITIONS, settle};
use crate::audit::memory::Mood;

const CLIENTS: usize = 5;
const NAMES: [&str; CLIENTS] = ["client-0", "client-1", "client-2", "client-3", "client-4"];
const USERS: [&str; 5] = ["member", "nurse", "clerk", "guardian", "stranger"];
const PATTERNS: [&str; 5] = [
    "/**",
    "/members/*/eligibility/*",
    "/members/m-1/**",
    "/members/m-2/eligibility/*",
    "/members/m-1/eligibility/ec-003",
];

/// What stays as it is through all steps.
#[derive(Debug, Clone)]
struct Setting {
    shards: usize,
    /// Decisions are kept, rather than asked for each time.
    keeps: bool,
    hostility: Option<u64>,
    /// Each with how much it takes before it lags.
    clients: Vec<(Client, Option<usize>)>,
}

#[derive(Debug, Clone)]
enum Step {
    Publish {
        tenant: usize,
        member: usize,
        partition: Partition,
    },
    Begin(usize),
    /// Its connection breaks; it was told how far it was, or was not.
    Cut {
        client: usize,
        told: bool,
    },
    Finish(usize),
    /// Its connection breaks right behind a ping.
    Ping(usize),
    Adopt {
        client: usize,
        from: usize,
        which: usize,
    },
    Nurse {
        tenant: usize,
        joins: bool,
    },
    Guardian {
        tenant: usize,
        seconds: Option<i64>,
    },
    Pass(i64),
    Erase {
        tenant: usize,
        member: usize,
    },
    Audit(Mood),
    /// One append to the audit trail fails.
    Hiccup,
    RelationshipsAway,
    LogAway,
    KeysAway {
        member: usize,
    },
    Recover,
    Quiesce,
    /// Others may do a little.
    Yield(usize),
    Wait(u64),
}

fn client() -> impl Strategy<Value = (Client, Option<usize>)> {
    let tenant = prop_oneof![4 => Just(0), 1 => Just(1)];
    let capacity = prop_oneof![3 => Just(None), 1 => (1_usize..5).prop_map(Some)];
    let made = |(tenant, user, pattern, shape, capacity)| (Client { tenant, user, pattern, shape, name: "" }, capacity);
    (tenant, select(&USERS[..]), select(&PATTERNS[..]), select(&SHAPES[..]), capacity).prop_map(made)
}

fn setting() -> impl Strategy<Value = Setting> {
    let clients = proptest::collection::vec(client(), CLIENTS).prop_map(|mut clients| {
        clients.iter_mut().zip(NAMES).for_each(|((client, _), name)| client.name = name);
        clients
    });
    let made = |(shards, keeps, hostility, clients)| Setting { shards, keeps, hostility, clients };
    (1_usize..=3, any::<bool>(), proptest::option::weighted(0.3, any::<u64>()), clients).prop_map(made)
}

fn step() -> impl Strategy<Value = Step> {
    let tenant = || prop_oneof![4 => Just(0_usize), 1 => Just(1)];
    let member = || 0..MEMBERS.len();
    let client = || 0..CLIENTS;
    let event = (tenant(), prop_oneof![3 => Just(0_usize), 1 => Just(1)], 0..PARTITIONS);
    prop_oneof![
        24 => event.prop_map(|(tenant, member, partition)| Step::Publish { tenant, member, partition }),
        10 => client().prop_map(Step::Begin),
        3 => (client(), any::<bool>()).prop_map(|(client, told)| Step::Cut { client, told }),
        2 => client().prop_map(Step::Finish),
        6 => client().prop_map(Step::Ping),
        2 => (client(), client(), any::<usize>()).prop_map(|(client, from, which)| Step::Adopt { client, from, which }),
        3 => (tenant(), any::<bool>()).prop_map(|(tenant, joins)| Step::Nurse { tenant, joins }),
        3 => (tenant(), proptest::option::of(-5_i64..20))
            .prop_map(|(tenant, seconds)| Step::Guardian { tenant, seconds }),
        2 => (1_i64..15).prop_map(Step::Pass),
        1 => (0..TENANTS.len(), member()).prop_map(|(tenant, member)| Step::Erase { tenant, member }),
        2 => select(&[Mood::Failing, Mood::Stalled][..]).prop_map(Step::Audit),
        2 => Just(Step::Hiccup),
        2 => Just(Step::RelationshipsAway),
        2 => Just(Step::LogAway),
        2 => member().prop_map(|member| Step::KeysAway { member }),
        5 => Just(Step::Recover),
        4 => Just(Step::Quiesce),
        8 => (1_usize..30).prop_map(Step::Yield),
        3 => (1_u64..400).prop_map(Step::Wait),
    ]
}

async fn carry_out(world: &mut World, step: Step) -> Result<(), String> {
    match step {
        Step::Publish { tenant, member, partition } => world.publish(tenant, member, partition).await,
        Step::Begin(client) => world.begin(client).await?,
        Step::Cut { client, told } => world.cut(client, told).await?,
        Step::Finish(client) => world.finish(client).await?,
        Step::Ping(client) => world.ping(client).await?,
        Step::Adopt { client, from, which } => world.adopt(client, from, which).await?,
        Step::Nurse { tenant, joins } => world.nurse(tenant, joins).await,
        Step::Guardian { tenant, seconds } => world.guardian(tenant, seconds).await,
        Step::Pass(seconds) => world.pass(seconds),
        Step::Erase { tenant, member } => world.erase(tenant, member),
        Step::Audit(mood) => world.bench.audit.set(mood),
        Step::Hiccup => world.bench.audit.script([Mood::Failing]),
        Step::RelationshipsAway => world.relationships.fail(),
        Step::LogAway => world.log.set(true),
        Step::KeysAway { member } => world.keys.take_away(MEMBERS[member]),
        Step::Recover => world.recover(),
        Step::Quiesce => world.quiesce().await,
        Step::Yield(times) => {
            for _ in 0..times {
                tokio::task::yield_now().await;
            }
        }
        Step::Wait(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
    }
    Ok(())
}

async fn run(setting: Setting, steps: Vec<Step>) -> Result<(), String> {
    let mut world = World::new(&setting).await;
    for client in 0..CLIENTS / 2 {
        world.begin(client).await?;
    }
    settle().await;
    for step in steps {
        carry_out(&mut world, step).await?;
    }
    world.end().await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn everybody_gets_what_she_may_see_once_in_order_and_on_record(
        setting in setting(),
        steps in proptest::collection::vec(step(), 1..90),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(run(setting, steps)).map_err(TestCaseError::fail)?;
    }
}

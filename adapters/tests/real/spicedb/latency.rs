//! How long checks take, printed; and that many callers never wait for each other in vain.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_schema::ids::TenantId;
use sluice_subscriptions::relationships::{Check, Consistency, ObjectRef, Relationships};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_of_one_and_of_a_hundred_callers() {
    let spicedb = Arc::new(super::connect().await);
    let mut alone = Vec::new();
    for number in 0..300 {
        alone.push(timed(&*spicedb, number).await);
    }
    print("one caller", &mut alone);
    let (began, mut callers) = (Instant::now(), tokio::task::JoinSet::new());
    for caller in 0..100 {
        let spicedb = spicedb.clone();
        callers.spawn(async move {
            let mut took = Vec::new();
            for round in 0..20 {
                took.push(timed(&*spicedb, caller * 20 + round).await);
            }
            took
        });
    }
    let mut together: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    println!("{:.0} checks/s", together.len() as f64 / began.elapsed().as_secs_f64());
    print("a hundred callers", &mut together);
}

/// One check of a viewer of her own.
async fn timed(port: &dyn Relationships, number: usize) -> Duration {
    let tenant: TenantId = "latency".parse().unwrap();
    let object = |object_type| ObjectRef::new(object_type, &tenant, &format!("x-{number}"));
    let permission = "see_as_care_team_for_treatment".into();
    let checks = [Check { resource: object("member"), permission, subject: object("user") }];
    let began = Instant::now();
    assert_eq!(port.check_many(Consistency::Full, &checks).await.unwrap().allowed, [false]);
    began.elapsed()
}

fn print(what: &str, took: &mut [Duration]) {
    took.sort();
    let at = |part: usize| took[took.len() * part / 100];
    println!("{what}: {} checks, p50 {:?}, p99 {:?}", took.len(), at(50), at(99));
}

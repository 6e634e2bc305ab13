//! The gateway's PostgreSQL away, while SpiceDB answers on its own: nothing half happens.

use std::time::Duration;

use sqlx::{Connection, Executor};

use crate::{
    clients::PERSON,
    harness::soon,
    parts::{Postmaster, resident},
    scene::{
        Scene, are_answered, are_refused, insist, insist_all, insist_by, keys, names_as_away, options, tells_once,
    },
};

const BEFORE: usize = 5;
const MEANWHILE: usize = 200;
const BEHIND: usize = 5;

/// MiB. One that kept a request's worth of anything would take more, many times over.
const GROWTH: u64 = 64;

#[tokio::test]
async fn away_nothing_happens_by_half_and_streams_hold_until_it_is_back() {
    let scene = Scene::set(options()).await;
    scene
        .play(BEFORE + MEANWHILE + BEHIND, async |server, _| {
            let mut postgres = Postmaster::of_store();
            let viewer = server.viewer(PERSON);
            let mut checks = insist_all(viewer, &keys("before", BEFORE)).await;
            are_answered(server, &checks).await;

            postgres.stop().await;
            let meanwhile = keys("meanwhile", MEANWHILE);
            are_refused(viewer, &meanwhile[..20], 20).await;
            let before = resident(server.pid());
            are_refused(viewer, &meanwhile, 50).await;
            let growth = resident(server.pid()).saturating_sub(before);
            assert!(growth < GROWTH, "it grew by {growth} MiB");
            names_as_away(server, &["store"]).await;
            postgres.start().await;

            // The same keys, and each gives one check.
            checks.extend(insist_by(20, viewer, &meanwhile).await);
            checks.extend(insist_all(viewer, &keys("behind", BEHIND)).await);
            names_as_away(server, &[]).await;
            // What a request asks PostgreSQL first is the member's key.
            tells_once(server, "keys", 220, &checks[0]).await;
            assert_eq!(insist(viewer, "meanwhile-7").await, insist(viewer, "meanwhile-7").await);
            checks
        })
        .await;
}

#[tokio::test]
async fn restarted_in_mid_load_nothing_is_lost_and_nothing_comes_twice() {
    const WRITERS: usize = 16;
    const CHECKS: usize = 300;
    let scene = Scene::set(options()).await;
    scene
        .play(CHECKS, async |server, observed| {
            let mut postgres = Postmaster::of_store();
            let restarts = async {
                for frames in [50, 400] {
                    soon("the load", observed.reaches(frames)).await;
                    postgres.stop().await;
                    postgres.start().await;
                }
            };
            let keys = keys("k", CHECKS);
            tokio::join!(insist_by(WRITERS, server.viewer(PERSON), &keys), restarts).0
        })
        .await;
}

#[tokio::test]
async fn a_slow_transaction_holds_up_64_writers_and_costs_nobody_anything() {
    const WRITERS: usize = 64;
    const CHECKS: usize = 256;
    const HELD: Duration = Duration::from_secs(3);
    let scene = Scene::set(options()).await;
    scene
        .play(CHECKS, async |server, observed| {
            let mut slow = server.home().database().expect("PostgreSQL").connect().await;
            let holding = async {
                soon("the load", observed.reaches(50)).await;
                slow.execute("BEGIN; SELECT * FROM sluice.heads FOR UPDATE").await.unwrap();
                tokio::time::sleep(HELD).await;
                slow.execute("ROLLBACK").await.unwrap();
                slow.close().await.unwrap();
            };
            let keys = keys("k", CHECKS);
            tokio::join!(insist_by(WRITERS, server.viewer(PERSON), &keys), holding).0
        })
        .await;
}

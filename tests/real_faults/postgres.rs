//! The gateway's PostgreSQL away, while SpiceDB answers on its own: nothing half happens.

use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection, Executor};

use crate::{
    clients::PERSON,
    harness::{Server, Ws, soon},
    parts::{Postmaster, resident},
    scene::{
        Scene, are_answered, are_refused, insist, insist_all, insist_by, keys, listen, names_as_away, options,
        tells_once,
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
            // What a request asks PostgreSQL first is the member's key. After two seconds it is not let in: what was revoked
            // meanwhile can't be read.
            tells_once(server, "keys", 20, &checks[0]).await;
            assert_eq!(insist(viewer, "meanwhile-7").await, insist(viewer, "meanwhile-7").await);
            checks
        })
        .await;
}

/// A token that was revoked meanwhile would be let in.
#[tokio::test]
async fn away_for_two_seconds_nobody_is_let_in_and_who_is_in_stays() {
    const NOTHING: &str = "{ __typename }";
    let server = Server::start(options()).await;
    let viewer = server.viewer(PERSON);
    let mut inside = listen(&server, PERSON).await;
    let mut postgres = Postmaster::of_store();
    postgres.stop().await;
    let refused = async {
        let mut look = tokio::time::interval(Duration::from_millis(100));
        while viewer.graphql(NOTHING, Value::Null).await["errors"][0]["extensions"]["code"] != "UNAVAILABLE" {
            look.tick().await;
        }
    };
    soon("nobody is let in", refused).await;
    let mut outside = Ws::greet(server.subscriptions_url(), server.token(PERSON)).await;
    assert_eq!(outside.closed().await.map(|close| u16::from(close.code)), Some(1013));
    inside.ping().await;
    names_as_away(&server, &["revocations"]).await;
    postgres.start().await;
    names_as_away(&server, &[]).await;
    assert_eq!(viewer.graphql(NOTHING, Value::Null).await["data"]["__typename"], "Query");
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

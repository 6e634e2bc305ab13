//! Kafka away: what is asked is accepted and answered; who listens hears of it later.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, interval, sleep_until};

use crate::{
    clients::PERSON,
    harness::{MEMBER, Server, soon},
    parts::{Paused, resident, revoke_guardian},
    scene::{Scene, are_answered, change, changes, insist_all, insist_by, keys, listen, names_as_away, options},
};

const PID: &str = "SLUICE_TEST_KAFKA_PID";
const AWAY: Duration = Duration::from_secs(30);

const BEFORE: usize = 5;
const MEANWHILE: usize = 300;
const BEHIND: usize = 5;

/// MiB. One that kept a request's worth of anything would take more, many times over.
const GROWTH: u64 = 64;

#[tokio::test]
async fn away_checks_are_asked_and_answered_and_streams_catch_up_when_it_is_back() {
    let scene = Scene::set(options()).await;
    scene
        .play(BEFORE + MEANWHILE + BEHIND, async |server, _| {
            let viewer = server.viewer(PERSON);
            let (mut guardian, mut nurse) = (listen(server, "guardian").await, listen(server, "nurse").await);
            let mut stranger = listen(server, "stranger").await;
            let mut checks = insist_all(viewer, &keys("before", BEFORE)).await;
            for _ in 0..2 * BEFORE {
                change(&mut guardian).await;
                change(&mut nurse).await;
            }

            let paused = Paused::begin(PID);
            let back = Instant::now() + AWAY;
            let meanwhile = keys("meanwhile", MEANWHILE);
            checks.extend(insist_all(viewer, &meanwhile[..20]).await);
            let before = resident(server.pid());
            checks.extend(insist_by(20, viewer, &meanwhile[20..]).await);
            let growth = resident(server.pid()).saturating_sub(before);
            assert!(growth < GROWTH, "it grew by {growth} MiB");
            are_answered(server, &checks).await;
            assert_eq!(changes(&mut nurse).await, 2 * BEFORE, "what is not in the topic is not told");
            revoke_guardian(server.home()).await;
            is_heeded(server).await;
            names_as_away(server, &["log"]).await;
            sleep_until(back).await;
            drop(paused);

            checks.extend(insist_all(viewer, &keys("behind", BEHIND)).await);
            for _ in 0..2 * (MEANWHILE + BEHIND) {
                change(&mut nurse).await;
            }
            assert_eq!(changes(&mut guardian).await, 2 * BEFORE, "her access ended before more could be told");
            assert_eq!(changes(&mut stranger).await, 0);
            names_as_away(server, &[]).await;
            checks
        })
        .await;
}

/// Until the gateway was told that the guardian is none any more.
async fn is_heeded(server: &Server) {
    let query = format!("{{ member(id: \"{MEMBER}\") {{ id }} }}");
    soon("the end of her access", async {
        let mut look = interval(Duration::from_millis(50));
        while server.graphql("guardian", &query, Value::Null).await["errors"][0]["extensions"]["code"] != "NOT_FOUND" {
            look.tick().await;
        }
    })
    .await;
}

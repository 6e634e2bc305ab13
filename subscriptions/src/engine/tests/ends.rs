//! The end of a subscription is on record, with why, and holds nothing up.

use std::time::Duration;

use super::{
    bench::*,
    revoke::{nurse_in_team, watch},
};
use crate::{
    audit::{Action, EndReason, memory::Mood},
    engine::Start,
    relationships::{Relationships, Update},
};

impl Bench {
    /// By user, in the order in which they were recorded.
    fn ends(&self) -> Vec<(String, EndReason)> {
        let records = self.audit.records().into_iter();
        let ends = records.filter_map(|record| match record.action {
            Action::End { recipient, patient, channel, why } => {
                assert!(channel.starts_with('/'), "{channel}");
                let member = channel.strip_prefix("/members/").and_then(|rest| rest.split('/').next()?.parse().ok());
                assert_eq!(patient, member, "{channel}");
                Some((recipient.user.to_string(), why))
            }
            _ => None,
        });
        ends.collect()
    }

    async fn only_end(&self) -> (String, EndReason) {
        settle().await;
        let ends = self.ends();
        let [end] = &ends[..] else { panic!("{ends:?}") };
        end.clone()
    }
}

fn of(user: &str, why: EndReason) -> (String, EndReason) {
    (user.into(), why)
}

#[tokio::test(start_paused = true)]
async fn whoever_drops_it_says_why_or_else_the_connection_was_closed() {
    for why in [None, Some(EndReason::Completed), Some(EndReason::TokenExpired)] {
        let bench = Bench::new().await;
        let handle = bench.subscribe(viewer("member"), "/**", Start::Live, &Probe::new()).await;
        handle.caught_up().await;
        settle().await;
        assert_eq!(bench.ends(), []);
        why.iter().for_each(|why| handle.ends_because(*why));
        drop(handle);
        assert_eq!(bench.only_end().await, of("member", why.unwrap_or(EndReason::ConnectionClosed)));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_lags_and_one_that_lost_its_member_end_by_that() {
    let bench = Bench::keeping().await;
    let (slow, nurse) = (Probe::lagging_after(1), Probe::new());
    let lagging = bench.subscribe(viewer("member"), "/**", Start::Live, &slow).await;
    let watching = watch(&bench, "nurse", &nurse).await;
    lagging.caught_up().await;
    watching.caught_up().await;
    for id in ["ec-1", "ec-2"] {
        bench.publish("acme", "m-1", 0, id);
    }
    slow.refused().await;
    assert_eq!(bench.only_end().await, of("member", EndReason::Lagging));
    bench.relationships.write(vec![Update::Delete(nurse_in_team())]).await.expect("is written");
    nurse.end().await;
    settle().await;
    let both = [of("member", EndReason::Lagging), of("nurse", EndReason::PermissionRevoked)];
    assert_eq!(bench.ends(), both);
    drop((lagging, watching));
    settle().await;
    assert_eq!(bench.ends(), both, "each ends once");
}

#[tokio::test(start_paused = true)]
async fn a_poll_ends_with_its_answer() {
    let bench = Bench::new().await;
    let make = |subscriber| subscribe(viewer("member"), "/**", Start::Live, subscriber);
    bench.engine.poll(Duration::from_secs(1), make).await.expect("an answer");
    settle().await;
    assert_eq!(bench.ends(), []);
}

#[tokio::test(start_paused = true)]
async fn what_ends_with_the_process_is_recorded_before_it_is_over() {
    let bench = Bench::sharded(3).await;
    let mut handles = Vec::new();
    for _ in 0..10 {
        handles.push(bench.subscribe(viewer("member"), "/**", Start::Live, &Probe::new()).await);
    }
    for handle in &handles {
        handle.caught_up().await;
    }
    // It can't be caught up, and is with no shard.
    bench.relationships.fail();
    bench.publish("acme", "m-1", 0, "ec-1");
    settle().await;
    bench.shutdown.cancel();
    bounded(bench.engine.over(), || "the ends to be recorded".into()).await;
    assert_eq!(bench.ends(), vec![of("member", EndReason::Shutdown); 10]);
}

#[tokio::test(start_paused = true)]
async fn while_the_trail_is_away_ends_wait_and_nobody_waits_for_them() {
    let bench = Bench::new().await;
    let [leaves, stays] = [Probe::new(), Probe::new()];
    let leaving = bench.subscribe(viewer("member"), "/**", Start::Live, &leaves).await;
    let _staying = bench.subscribe(viewer("nurse"), "/**", Start::Live, &stays).await;
    settle().await;
    // The end alone can't be recorded.
    bench.audit.script([Mood::Failing]);
    leaving.finish().await;
    settle().await;
    bench.publish("acme", "m-1", 0, "ec-1");
    stays.count(1).await;
    assert_eq!(bench.ends(), []);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.only_end().await, of("member", EndReason::ConnectionClosed));
}

#[tokio::test(start_paused = true)]
async fn a_trail_that_stays_away_does_not_hold_up_the_end_of_the_process() {
    let bench = Bench::new().await;
    let handle = bench.subscribe(viewer("member"), "/**", Start::Live, &Probe::new()).await;
    handle.caught_up().await;
    bench.audit.set(Mood::Failing);
    drop(handle);
    settle().await;
    bench.shutdown.cancel();
    bounded(bench.engine.over(), || "the end".into()).await;
    assert_eq!(bench.ends(), []);
}

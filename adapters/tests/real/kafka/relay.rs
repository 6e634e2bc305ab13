//! What comes to the topic.

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use sluice_domain::store::MAX_EVENT_BYTES;
use sluice_schema::{event::RecordedEvent, sealed::Sealed};

use super::relay_support::{Rig, Running, SECRET, event};

#[tokio::test]
async fn all_that_was_appended_comes_in_order() {
    let rig = Rig::new().await;
    rig.append(500);
    let running = Running::start(rig.relay());
    for _ in 0..10 {
        rig.append(100);
        tokio::task::yield_now().await;
    }
    rig.caught_up().await;
    running.stop().await.unwrap();
    assert_eq!(rig.check().await, 0, "one relay that is not disturbed repeats nothing");
}

#[tokio::test]
async fn a_relay_goes_on_where_the_last_one_was() {
    let rig = Rig::new().await;
    for _ in 0..3 {
        rig.append(50);
        rig.relay_all().await;
    }
    rig.relay_all().await;
    assert_eq!(rig.check().await, 0);
}

#[tokio::test]
async fn keys_tell_members_apart_and_nothing_is_in_the_clear() {
    let rig = Rig::new().await;
    rig.append(200);
    rig.relay_all().await;
    let mut keys = HashMap::new();
    for record in rig.records().await.iter().flatten() {
        let header = String::from_utf8_lossy(&record.headers["sluice-header"]);
        let start = header.find("member-").unwrap();
        let member = header[start..start + "member-0".len()].to_owned();
        assert_eq!(keys.entry(member).or_insert_with(|| record.key.clone()), &record.key, "a member has one key");
        let secret = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&SECRET[..6]);
        assert!(!secret(&record.value) && !secret(&record.key) && !record.headers.values().any(|value| secret(value)));
        assert!(!String::from_utf8_lossy(&record.key).contains("member"));
    }
    let different: HashSet<_> = keys.values().collect();
    assert_eq!((keys.len(), different.len()), (10, 10));
}

/// One that did not fit into a record would stop its partition for good.
#[tokio::test]
async fn the_largest_events_that_a_store_takes_are_relayed() {
    let rig = Rig::new().await;
    let large_payload = |number| {
        let event = event(number);
        // Nothing that can be compressed.
        let payload: Vec<u8> = (0..MAX_EVENT_BYTES - event.header.encoded_len()).map(|_| fastrand::u8(..)).collect();
        RecordedEvent { payload: Sealed(payload.into()), ..event }
    };
    let mut large_header = event(3);
    large_header.header.channel = "x".repeat(60_000);
    let missing = MAX_EVENT_BYTES - large_header.header.encoded_len();
    large_header.payload = Sealed(vec![7; missing].into());
    for event in [large_payload(1), event(2), large_header, event(4)] {
        rig.source.append(0, event);
    }
    rig.relay_all().await;
    assert_eq!(rig.check().await, 0);
}

use sluice_schema::{
    event::{NewEvent, StreamId},
    proto::header::{Header, Subject, routing_key::Kind},
    sealed::Sealed,
};

use super::*;

const NOW: i64 = 1_000;

fn placement() -> Placement {
    Placement::of_stored(&[1; 8], &[2; 32], 4).unwrap()
}

fn append(id: &str, expected_version: u64, states: usize) -> Append {
    let subject = Subject { r#type: "Check".into(), id: id.into() };
    let header = Header {
        tenant: "acme".into(),
        subject: Some(subject.clone()),
        routing_key: Some(RoutingKey { kind: Kind::Member.into(), id: "m-1".into() }),
        ..Header::default()
    };
    let event = NewEvent { header, payload: Sealed(Vec::new().into()), holds_state: true };
    let events = vec![event; states];
    let stream = StreamId::of_subject(&subject);
    Append { tenant: "acme".parse().unwrap(), stream, expected_version, events, idempotency: None }
}

fn keyed(id: &str, key: &str, input: u8) -> Append {
    let idempotency = Idempotency { scope: "s".into(), key: key.into(), input_hash: [input; 32], result: id.into() };
    Append { idempotency: Some(idempotency), ..append(id, 0, 1) }
}

/// The partition's head is at 7, and was published at `published_at`.
fn decisions(placement: &Placement, published_at: i64) -> Decisions<'_> {
    let locked = (0..4).map(|partition| (partition, Head { seq: 7, published_at })).collect();
    Decisions::new(placement, locked, ReadVector(vec![7; 4]))
}

fn new_stream() -> Found {
    Found { version: 0, earlier: None }
}

#[test]
fn later_appends_of_a_group_see_earlier_ones() {
    let placement = placement();
    let mut group = decisions(&placement, 0);
    let (first, stale, second) = (append("c-1", 0, 2), append("c-1", 0, 1), append("c-1", 2, 1));
    assert!(group.decide(&first, new_stream(), NOW).is_ok());
    assert!(matches!(group.decide(&stale, new_stream(), NOW), Err(AppendError::Conflict { actual: 2 })));
    let Ok(Appended::Fresh { positions, heads }) = group.decide(&second, new_stream(), NOW) else { panic!() };
    assert_eq!(positions[0].seq, 10);
    assert_eq!(heads.get(positions[0].partition), 10);
    assert_eq!(group.writes.events.len(), 3);
    assert_eq!(group.writes.heads.values().map(|head| head.seq).collect::<Vec<_>>(), [10]);
    let states: Vec<_> = group.writes.states.values().map(|(_, _, seq)| *seq).collect();
    assert_eq!(states, [10], "a row can be written once in a statement: the last state");
}

#[test]
fn a_key_is_looked_at_before_the_version() {
    let placement = placement();
    let mut group = decisions(&placement, 0);
    let (first, repeat, other_input) = (keyed("c-1", "k", 1), keyed("c-2", "k", 1), keyed("c-3", "k", 2));
    assert!(group.decide(&first, new_stream(), NOW).is_ok());
    let answer = group.decide(&repeat, Found { version: 9, earlier: None }, NOW);
    assert!(matches!(answer, Ok(Appended::Repeated { result, .. }) if result == "c-1"));
    assert!(matches!(group.decide(&other_input, new_stream(), NOW), Err(AppendError::IdempotencyConflict)));
    let stored = Found { version: 1, earlier: Some((vec![5; 32], "c-0".into())) };
    let again = keyed("c-4", "stored", 5);
    assert!(matches!(group.decide(&again, stored, NOW), Ok(Appended::Repeated { result, .. }) if result == "c-0"));
    assert_eq!(group.writes.events.len(), 1);
}

#[test]
fn a_clock_that_is_behind_does_not_turn_back_time() {
    let placement = placement();
    let mut group = decisions(&placement, NOW + 500);
    let first = append("c-1", 0, 1);
    assert!(group.decide(&first, new_stream(), NOW).is_ok());
    assert_eq!(group.writes.events[0].published_at, NOW + 500);
    let mut other = decisions(&placement, NOW - 500);
    assert!(other.decide(&first, new_stream(), NOW).is_ok());
    assert_eq!(other.writes.events[0].published_at, NOW);
}

#[test]
fn what_breaks_the_rules_writes_nothing() {
    let placement = placement();
    let mut group = decisions(&placement, 0);
    let (empty, mut foreign) = (append("c-1", 0, 0), append("c-1", 0, 1));
    foreign.tenant = "birch".parse().unwrap();
    for append in [&empty, &foreign] {
        assert!(matches!(group.decide(append, new_stream(), NOW), Err(AppendError::Unavailable(_))));
    }
    assert!(group.writes.heads.is_empty());
}

//! SpiceDB stopped, killed, with another key; and what one client wrote seen by another.

use std::time::{Duration, Instant};

use sluice_adapters::spicedb::{OpenError, SpiceDb, SpiceDbOptions};
use sluice_schema::ids::TenantId;
use sluice_subscriptions::relationships::{
    Check, Consistency, ObjectRef, Relationship, Relationships, RelationshipsError, SCHEMA, SubjectRef, Update,
};

use super::own_server::OwnServer;

const DEADLINE: Duration = Duration::from_millis(500);

struct Pair {
    member: ObjectRef,
    user: ObjectRef,
}

impl Pair {
    fn new() -> Self {
        let tenant: TenantId = format!("fault-{}", fastrand::u64(..)).parse().unwrap();
        Self { member: ObjectRef::new("member", &tenant, "m-1"), user: ObjectRef::new("user", &tenant, "u-1") }
    }

    fn relationship(&self) -> Relationship {
        let subject = SubjectRef { object: self.user.clone(), relation: None };
        Relationship { resource: self.member.clone(), relation: "self".into(), subject, expires: None }
    }

    async fn grant(&self, port: &dyn Relationships) {
        port.write(vec![Update::Touch(self.relationship())]).await.unwrap();
    }

    async fn can(&self, port: &dyn Relationships) -> Result<bool, RelationshipsError> {
        let (resource, subject) = (self.member.clone(), self.user.clone());
        let checks = [Check { resource, permission: "see_as_member".into(), subject }];
        Ok(port.check_many(Consistency::Full, &checks).await?.allowed == [true])
    }
}

async fn connect(server: &OwnServer, deadline: Duration) -> SpiceDb {
    let spicedb = SpiceDb::connect(&SpiceDbOptions { deadline, ..server.options() }, SCHEMA).await.unwrap();
    spicedb.ensure_schema(true).await.unwrap();
    spicedb
}

fn assert_unavailable(answer: &Result<bool, RelationshipsError>) {
    assert!(matches!(answer, Err(RelationshipsError::Unavailable(_))), "{answer:?}");
}

#[tokio::test]
async fn a_stopped_server_is_unavailable_within_the_deadline_and_answers_when_it_goes_on() {
    let server = OwnServer::start().await;
    let (spicedb, pair) = (connect(&server, DEADLINE).await, Pair::new());
    pair.grant(&spicedb).await;
    assert!(pair.can(&spicedb).await.unwrap());
    server.pause();
    let began = Instant::now();
    assert_unavailable(&pair.can(&spicedb).await);
    let took = began.elapsed();
    assert!(took < DEADLINE * 2, "{took:?}");
    server.go_on();
    // What the server was asked while it was stopped may still be in its way; each try has a deadline of its own.
    let began = Instant::now();
    while !matches!(pair.can(&spicedb).await, Ok(true)) {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not answer again");
    }
}

#[tokio::test]
async fn a_killed_server_is_unavailable_and_its_successor_is_found() {
    let server = OwnServer::start().await;
    let (spicedb, pair) = (connect(&server, Duration::from_secs(5)).await, Pair::new());
    pair.grant(&spicedb).await;
    let server = server.restart().await;
    // The first call may find the end of the old connection; it is an error, never a yes or no.
    if let Err(error) = spicedb.ensure_schema(true).await {
        assert!(matches!(error, OpenError::Unreachable { .. } | OpenError::Refused { .. }), "{error}");
        spicedb.ensure_schema(true).await.unwrap();
    }
    assert!(!pair.can(&spicedb).await.unwrap(), "the successor has an empty memory");
    pair.grant(&spicedb).await;
    assert!(pair.can(&spicedb).await.unwrap());
    server.kill().await;
    assert_unavailable(&pair.can(&spicedb).await);
    assert_unavailable(&pair.can(&spicedb).await);
}

#[tokio::test]
async fn what_is_wrong_is_one_sentence() {
    let server = OwnServer::start().await;
    let right = server.options();
    let other_key = SpiceDbOptions { preshared_key: "another-secret".into(), ..right.clone() };
    let refused = SpiceDb::connect(&other_key, SCHEMA).await.err().unwrap();
    assert!(matches!(refused, OpenError::Key { .. }), "{refused}");
    assert!(!refused.to_string().contains("another-secret") && !format!("{other_key:?}").contains("another-secret"));
    let endpoint = |endpoint: &str| SpiceDbOptions { endpoint: endpoint.into(), ..right.clone() };
    for wrong in ["127.0.0.1:1", "ftp://127.0.0.1:1", "http://127.0.0.1", "http://"] {
        let refused = SpiceDb::connect(&endpoint(wrong), SCHEMA).await.err().unwrap();
        assert!(matches!(refused, OpenError::Endpoint), "{wrong}: {refused}");
    }
    server.kill().await;
    let away = SpiceDb::connect(&right, SCHEMA).await.err().unwrap();
    assert!(matches!(away, OpenError::Unreachable { .. }), "{away}");
}

/// The new enemy: whoever was shut out must not see what comes after. Others ask meanwhile, so that a check could join what
/// began before the write.
#[tokio::test]
async fn what_one_client_wrote_another_sees_at_once() {
    let (one, other) = (super::connect().await, super::connect().await);
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (busy, pair) = (super::connect().await, Pair::new());
        crowd.spawn(async move {
            loop {
                assert!(!pair.can(&busy).await.unwrap());
            }
        });
    }
    for _ in 0..200 {
        let pair = Pair::new();
        pair.grant(&one).await;
        assert!(pair.can(&other).await.unwrap());
        one.write(vec![Update::Delete(pair.relationship())]).await.unwrap();
        assert!(!pair.can(&other).await.unwrap());
    }
}

#[tokio::test]
async fn more_updates_than_a_write_holds_are_refused_whole() {
    let spicedb = super::connect().await;
    let tenant: TenantId = format!("many-{}", fastrand::u64(..)).parse().unwrap();
    let member = ObjectRef::new("member", &tenant, "m-1");
    let updates = (0..1001).map(|user| {
        let object = ObjectRef::new("user", &tenant, &format!("u-{user}"));
        let subject = SubjectRef { object, relation: None };
        Update::Touch(Relationship { resource: member.clone(), relation: "family".into(), subject, expires: None })
    });
    let updates: Vec<_> = updates.collect();
    let refused = spicedb.write(updates.clone()).await;
    assert!(matches!(refused, Err(RelationshipsError::Invalid(_))), "{refused:?}");
    assert_eq!(spicedb.read(&member).await.unwrap(), []);
    spicedb.write(updates[..1000].to_vec()).await.unwrap();
    assert_eq!(spicedb.read(&member).await.unwrap().len(), 1000, "more than a page of SpiceDB's");
}

#[tokio::test]
async fn a_call_larger_than_a_request_is_answered_at_one_revision() {
    let (spicedb, pair) = (super::connect().await, Pair::new());
    pair.grant(&spicedb).await;
    let check = |user: usize| {
        let mut subject = pair.user.clone();
        if user != 1777 {
            subject.id = format!("{}-{user}", subject.id).into();
        }
        Check { resource: pair.member.clone(), permission: "self".into(), subject }
    };
    let checks: Vec<_> = (0..2500).map(check).collect();
    let checked = spicedb.check_many(Consistency::Full, &checks).await.unwrap();
    let allowed: Vec<_> = (0..2500).filter(|user| checked.allowed[*user]).collect();
    assert_eq!(allowed, [1777]);
}

/// SpiceDB closes every connection at an age; here at a fiftieth of a second and not at 30.
#[tokio::test]
async fn a_connection_that_is_closed_for_its_age_fails_no_call() {
    let server = OwnServer::start_with(&["--grpc-max-conn-age", "20ms"]).await;
    let (spicedb, pair) = (connect(&server, Duration::from_secs(5)).await, Pair::new());
    for _ in 0..1000 {
        pair.grant(&spicedb).await;
        assert!(pair.can(&spicedb).await.unwrap());
    }
}

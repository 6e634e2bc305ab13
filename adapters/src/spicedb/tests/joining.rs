//! Callers that come while requests are under way share the next one.

use std::collections::HashSet;

use sluice_subscriptions::relationships::{Consistency, Relationships, Revision};
use spicedb_grpc_tonic::v1::{ZedToken, consistency::Requirement};

use super::{
    super::{SpiceDb, batch::MAX_CHECKS},
    Asking, DEADLINE, at_least, begin, begin_with, checks, connect,
    server::{REVISION, Server, each, even, written},
};

const CALLERS: usize = 100;
const IN_FLIGHT: usize = 4;

/// One whose request is under way at a server that stalls, and so many behind, who ask about so many users each.
async fn crowd<'a>(server: &Server, spicedb: &'a SpiceDb, callers: usize, each: usize) -> Vec<Asking<'a>> {
    server.stall();
    let mut crowd = vec![begin(spicedb, Consistency::Full, checks(["first-0"])).await];
    server.was_asked(1).await;
    for caller in 0..callers {
        let users: Vec<_> = (0..each).map(|number| format!("u-{caller}-{number}")).collect();
        crowd.push(begin(spicedb, Consistency::Full, checks(users.iter().map(|user| &**user))).await);
    }
    crowd
}

#[tokio::test]
async fn many_callers_make_few_requests() {
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, DEADLINE, IN_FLIGHT).await;
    server.stall();
    let first = begin(&spicedb, Consistency::Full, checks(["first-0"])).await;
    server.was_asked(1).await;
    let mut callers = Vec::new();
    for caller in 0..CALLERS {
        callers.push(begin(&spicedb, Consistency::Full, checks([&*format!("u-{caller}")])).await);
    }
    server.go_on();
    assert_eq!(first.await.unwrap().allowed, [true]);
    for (number, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.await.unwrap().allowed, [number % 2 == 0], "{number}");
    }
    let users = server.users();
    assert!(users.len() <= 1 + IN_FLIGHT, "{} requests", users.len());
    assert_eq!(users.concat().len(), 1 + CALLERS);
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_allowed() {
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, DEADLINE, 2).await;
    server.stall();
    let mut callers = vec![begin(&spicedb, Consistency::Full, checks(["u-0"])).await];
    server.was_asked(1).await;
    callers.push(begin(&spicedb, Consistency::Full, checks(["u-1"])).await);
    server.was_asked(2).await;
    for caller in 2..CALLERS {
        callers.push(begin(&spicedb, Consistency::Full, checks([&*format!("u-{caller}")])).await);
    }
    // The connection answers in order: had the third been sent, it would be there before this answer.
    spicedb.version().await.unwrap();
    assert_eq!(server.requests().len(), 2);
    server.go_on();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(server.requests().len(), 3, "the others share one");
}

#[tokio::test]
async fn what_several_ask_is_asked_once() {
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, DEADLINE, 1).await;
    server.stall();
    let first = begin(&spicedb, Consistency::Full, checks(["first-0"])).await;
    server.was_asked(1).await;
    let mut callers = Vec::new();
    for caller in 0..CALLERS {
        let own = format!("u-{}", caller % 10);
        callers.push(begin(&spicedb, Consistency::Full, checks(["all-0", &own, "all-1", &own])).await);
    }
    server.go_on();
    first.await.unwrap();
    for (number, caller) in callers.into_iter().enumerate() {
        let own = number % 2 == 0;
        assert_eq!(caller.await.unwrap().allowed, [true, own, false, own], "{number}");
    }
    let users = server.users();
    assert_eq!(users.len(), 2);
    assert_eq!(users[1].len(), 12, "{:?}", users[1]);
    assert_eq!(users[1].iter().collect::<HashSet<_>>().len(), 12);
}

#[tokio::test]
async fn callers_that_go_away_disturb_nobody() {
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, DEADLINE, 1).await;
    server.stall();
    let first = begin(&spicedb, Consistency::Full, checks(["first-0"])).await;
    server.was_asked(1).await;
    let mut callers = Vec::new();
    for caller in 0..10 {
        callers.push(Some(begin(&spicedb, Consistency::Full, checks([&*format!("u-{caller}")])).await));
    }
    // One of a request under way, some of the queue, the first and the last among them.
    drop(first);
    for gone in [0, 3, 4, 9] {
        callers[gone] = None;
    }
    server.go_on();
    for (number, caller) in callers.into_iter().enumerate() {
        if let Some(caller) = caller {
            assert_eq!(caller.await.unwrap().allowed, [number % 2 == 0], "{number}");
        }
    }
    assert_eq!(server.users()[1..], [["u-1", "u-2", "u-5", "u-6", "u-7", "u-8"]]);
}

#[tokio::test]
async fn a_request_grows_no_larger_than_the_server_takes() {
    const EACH: usize = MAX_CHECKS * 2 / 5;
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, DEADLINE, 1).await;
    let callers = crowd(&server, &spicedb, 3, EACH).await;
    server.go_on();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(server.users().iter().map(Vec::len).collect::<Vec<_>>(), [1, 2 * EACH, EACH]);
}

fn token(revision: &str) -> ZedToken {
    ZedToken { token: revision.into() }
}

/// What the joined request of two callers asks for.
async fn requirement_for(one: Consistency, other: Consistency) -> Requirement {
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, DEADLINE, 1).await;
    server.stall();
    let first = begin(&spicedb, Consistency::Full, checks(["first-0"])).await;
    server.was_asked(1).await;
    let callers = [begin(&spicedb, one, checks(["u-0"])).await, begin(&spicedb, other, checks(["u-1"])).await];
    server.go_on();
    first.await.unwrap();
    for caller in callers {
        caller.await.unwrap();
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2, "they are joined");
    requests[1].consistency.as_ref().unwrap().requirement.clone().unwrap()
}

#[tokio::test]
async fn a_joined_request_is_as_fresh_as_each_caller_wants() {
    // The revision of a write of its own holds everything that was written before it; the first one's was written before these came.
    let (full, a) = (Requirement::AtExactSnapshot(token(&written(2))), Requirement::AtLeastAsFresh(token("a")));
    for (one, other, expected) in [
        (Consistency::Full, Consistency::Full, &full),
        (at_least("a"), at_least("a"), &a),
        (at_least("a"), at_least("b"), &full),
        (at_least("a"), Consistency::Full, &full),
        (Consistency::Full, at_least("a"), &full),
    ] {
        let sent = requirement_for(one.clone(), other.clone()).await;
        assert_eq!(sent, *expected, "{one:?} and {other:?}");
    }
}

/// However many requests it takes: what was written before any of them came is in it.
#[tokio::test]
async fn a_crowd_that_came_together_shares_one_write() {
    const CROWD: usize = 3;
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, DEADLINE, 1).await;
    let callers = crowd(&server, &spicedb, CROWD, MAX_CHECKS).await;
    server.go_on();
    for caller in callers {
        caller.await.unwrap();
    }
    begin(&spicedb, Consistency::Full, checks(["later-0"])).await.await.unwrap();
    let sent = server.requests().into_iter().map(|request| request.consistency.unwrap().requirement.unwrap());
    let expected = [1, 2, 2, 2, 3].map(|number| Requirement::AtExactSnapshot(token(&written(number))));
    assert_eq!(sent.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_rest_of_a_large_call_is_asked_at_the_first_ones_revision_and_joined_with_nobody() {
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, DEADLINE, 1).await;
    const ALL: usize = MAX_CHECKS + 1;
    let users: Vec<_> = (0..ALL).map(|user| format!("u-{user}")).collect();
    server.stall();
    let large = begin(&spicedb, at_least("a"), checks(users.iter().map(|user| &**user))).await;
    server.was_asked(1).await;
    let other = begin(&spicedb, Consistency::Full, checks(["other-0"])).await;
    server.go_on();
    assert_eq!(large.await.unwrap().allowed, (0..ALL).map(|user| user % 2 == 0).collect::<Vec<_>>());
    assert_eq!(other.await.unwrap().allowed, [true]);
    let sent = server.requests().into_iter().map(|request| {
        let requirement = request.consistency.and_then(|consistency| consistency.requirement).unwrap();
        (request.items.len(), requirement)
    });
    let expected = [
        (MAX_CHECKS, Requirement::AtLeastAsFresh(token("a"))),
        (1, Requirement::AtExactSnapshot(token(&written(1)))),
        (1, Requirement::AtExactSnapshot(token(REVISION))),
    ];
    assert_eq!(sent.collect::<Vec<_>>(), expected);
}

/// In the order in which they came, however they are to be asked.
#[tokio::test]
async fn what_is_live_goes_before_a_crowd() {
    const CROWD: usize = 4;
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, DEADLINE, 1).await;
    let mut callers = crowd(&server, &spicedb, CROWD, MAX_CHECKS).await;
    let at = |revision: &str| Consistency::At(Revision(revision.into()));
    for (consistency, user) in
        [(at("a"), "live-0"), (Consistency::Told, "live-2"), (at("b"), "live-4"), (Consistency::Full, "live-6")]
    {
        let (spicedb, checks) = (&spicedb, checks([user]));
        callers.push(begin_with(async move { spicedb.check_ahead(consistency, &checks).await }).await);
    }
    server.go_on();
    for caller in callers {
        caller.await.unwrap();
    }
    let live: Vec<_> = server.users().into_iter().skip(1).take(4).collect();
    assert_eq!(live, [["live-0"], ["live-2"], ["live-4"], ["live-6"]]);
    assert_eq!(server.users().len(), 1 + 4 + CROWD);
}

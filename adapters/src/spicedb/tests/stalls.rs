//! A server that does not answer.

use std::time::{Duration, Instant};

use sluice_subscriptions::relationships::{Consistency, RelationshipsError};

use super::{
    super::batch::MAX_CHECKS,
    ask, begin, checks, connect,
    server::{Server, each, even},
};

const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_stalled_server_is_unavailable_within_the_deadline_and_works_again() {
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, SHORT, 1).await;
    for _ in 0..3 {
        server.stall();
        let (began, before) = (Instant::now(), server.requests().len());
        let mut callers = vec![begin(&spicedb, Consistency::Full, checks(["first-0"])).await];
        server.was_asked(before + 1).await;
        for caller in 0..50 {
            callers.push(begin(&spicedb, Consistency::Full, checks([&*format!("u-{caller}")])).await);
        }
        for caller in callers {
            let answer = caller.await;
            assert!(matches!(answer, Err(RelationshipsError::Unavailable(_))), "{answer:?}");
        }
        assert!(began.elapsed() < SHORT * 2, "{:?}", began.elapsed());
        server.go_on();
        assert_eq!(ask(&spicedb, &["u-0", "u-1"]).await.unwrap(), [true, false]);
    }
}

/// More callers than the queue holds: those who wait outside of it have the same deadline.
#[tokio::test]
async fn callers_beyond_the_queue_are_told_in_time_too() {
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, SHORT, 1).await;
    server.stall();
    let mut callers = vec![begin(&spicedb, Consistency::Full, checks(["first-0"])).await];
    server.was_asked(1).await;
    for _ in 0..1500 {
        callers.push(begin(&spicedb, Consistency::Full, checks(["u-0"])).await);
    }
    let began = Instant::now();
    for caller in callers {
        let answer = caller.await;
        assert!(matches!(answer, Err(RelationshipsError::Unavailable(_))), "{answer:?}");
    }
    assert!(began.elapsed() < SHORT * 2, "{:?}", began.elapsed());
    server.go_on();
    assert_eq!(ask(&spicedb, &["u-0", "u-1"]).await.unwrap(), [true, false]);
}

/// As when ten thousand come at once: the last of them waits for longer than one request may take.
#[tokio::test]
async fn who_waits_behind_requests_that_are_answered_is_answered() {
    const CALLERS: usize = 8;
    let server = Server::start(each(even)).await;
    let spicedb = connect(&server, SHORT, 1).await;
    server.takes(SHORT / 3);
    let mut callers = Vec::new();
    for caller in 0..CALLERS {
        // None shares its request with another.
        let users: Vec<_> = (0..MAX_CHECKS).map(|user| format!("u-{caller}-{user}")).collect();
        callers.push(begin(&spicedb, Consistency::Full, checks(users.iter().map(String::as_str))).await);
    }
    let began = Instant::now();
    for caller in callers {
        assert_eq!(caller.await.unwrap().allowed.len(), MAX_CHECKS);
    }
    assert!(began.elapsed() > SHORT * 2, "the last one waited: {:?}", began.elapsed());
    server.takes(SHORT * 2);
    let answer = ask(&spicedb, &["u-0"]).await;
    assert!(matches!(answer, Err(RelationshipsError::Unavailable(_))), "{answer:?}");
}

//! Sockets whose token is revoked, from a client's side.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use sluice_subscriptions::deliver::Gone;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        GraphqlRequest, TransportConfig,
        fake::{Asked, Server},
        router::Context,
        starts::Starts,
        viewers::Viewers,
    },
    budget::Budget,
    operations::Operations,
    outbox::Outbox,
    protocol::Operation,
    socket_tests::{Client, event, server},
};

const REVOKED: &str = "Forbidden: the token was revoked; connect again with a new one and resume with your last cursor";

#[tokio::test]
async fn it_is_closed_and_nothing_is_sent_after_the_answer() {
    let mut server = server().await;
    let mut client = Client::ready(&server, "nora").await;
    client.subscribe("1", "subscription { a }").await;
    let subscriber = server.subscriber().await;
    event(&subscriber, 1).unwrap();
    assert_eq!(client.json().await["payload"]["data"], 1);
    server.gate.revoke().await;
    // The socket's task need not have run: it is the revocation itself that cut it.
    assert_eq!(event(&subscriber, 2), Err(Gone::Closed));
    assert!(matches!(server.asked.try_recv(), Ok(Asked::Unsubscribed)));
    assert_eq!(client.closed().await, (4403, REVOKED.into()));
}

/// A shard feeds it all the time, and its client reads as fast as it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nothing_is_taken_after_the_answer() {
    for _ in 0..10 {
        let config = TransportConfig { max_queued_bytes: usize::MAX, ..TransportConfig::default() };
        let mut server = Server::start(config).await;
        let mut client = Client::ready(&server, "nora").await;
        client.subscribe("1", "subscription { a }").await;
        let (subscriber, answered) = (server.subscriber().await, Arc::new(AtomicBool::new(false)));
        let is_answered = answered.clone();
        let shard = thread::spawn(move || {
            (1..).find(|number| {
                let was_answered = is_answered.load(Ordering::SeqCst);
                let taken = event(&subscriber, *number);
                assert!(!was_answered || taken == Err(Gone::Closed), "taken after the answer");
                was_answered
            })
        });
        for _ in 0..200 {
            assert!(client.goes_on().await);
        }
        server.gate.revoke().await;
        answered.store(true, Ordering::SeqCst);
        while client.goes_on().await {}
        assert!(shard.join().unwrap().is_some_and(|events| events >= 200));
    }
}

#[tokio::test]
async fn what_waits_for_its_turn_does_not_begin() {
    let mut server = Server::start(TransportConfig { max_concurrency: 1, ..TransportConfig::default() }).await;
    let mut client = Client::ready(&server, "nora").await;
    client.subscribe("slow", "mutation slow").await;
    client.subscribe("next", "mutation { a }").await;
    client.ping().await;
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
    server.gate.revoke().await;
    client.subscribe("late", "mutation { b }").await;
    server.gate.release.notify_one();
    assert_eq!(client.closed().await.0, 4403);
    server.tasks.close();
    server.tasks.wait().await;
    assert!(matches!(server.asked.try_recv(), Ok(Asked::Executed)), "what had begun goes on to its end");
    assert!(server.asked.try_recv().is_err(), "and nothing else has begun");
}

/// It was read just before, on another thread.
#[tokio::test]
async fn what_is_asked_for_behind_the_end_does_not_begin() {
    let mut server = server().await;
    let socket = TcpStream::connect(server.address).await.unwrap();
    let context = Context {
        gate: server.gate.clone(),
        config: TransportConfig::default(),
        drain: CancellationToken::new(),
        tasks: server.tasks.clone(),
        ack: "{}".into(),
        starts: Arc::new(Starts::new()),
        budget: Arc::new(Budget::new(usize::MAX)),
        viewers: Arc::new(Viewers::new(&TransportConfig::default())),
    };
    let outbox = Arc::new(Outbox::new(usize::MAX, context.budget.clone(), Arc::new(socket)));
    let operations = Arc::new(Operations::new(&context, outbox));
    let viewer = Arc::new(context.gate.authenticate("nora").await.unwrap());
    let ask = |number: u64| {
        let operation = Operation { number, id: "1".into(), head: "".into() };
        let request = GraphqlRequest { query: "mutation { a }".into(), ..GraphqlRequest::default() };
        operations.start(viewer.clone(), None, operation, request);
    };
    ask(1);
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
    assert!(matches!(server.asked.recv().await, Some(Asked::Executed)));
    operations.end(sluice_subscriptions::audit::EndReason::TokenRevoked);
    ask(2);
    server.tasks.close();
    server.tasks.wait().await;
    assert!(server.asked.try_recv().is_err());
}

#[tokio::test]
async fn one_that_is_revoked_before_it_is_let_in_is_not() {
    let server = server().await;
    let mut client = Client::open(&server).await;
    server.gate.revoke().await;
    client.init("nora").await;
    assert_eq!(client.closed().await.0, 4403);
}

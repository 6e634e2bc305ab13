//! Sockets whose token is revoked, from a client's side.

use sluice_subscriptions::deliver::Gone;

use super::{
    super::{
        TransportConfig,
        fake::{Asked, Server},
    },
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

#[tokio::test]
async fn one_that_is_revoked_before_it_is_let_in_is_not() {
    let server = server().await;
    let mut client = Client::open(&server).await;
    server.gate.revoke().await;
    client.init("nora").await;
    assert_eq!(client.closed().await.0, 4403);
}

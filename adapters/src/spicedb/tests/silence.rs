//! A network that swallows what is said: the connection stays open, and nobody answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_subscriptions::relationships::RelationshipsError;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    ask, connect_to,
    server::{Server, each, even},
};

const SHORT: Duration = Duration::from_millis(300);
/// The connection's keep-alive, twice.
const GIVEN_UP_BY: Duration = Duration::from_secs(30);

/// A way to the server.
struct Relay {
    port: u16,
    /// Connections that are open say nothing any more from then on; those that are made later do.
    silence: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Relay {
    async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (silence, to) = (Arc::new(Notify::new()), server.port);
        let task = tokio::spawn(accept(listener, to, silence.clone()));
        Self { port, silence, _task: AbortOnDropHandle::new(task) }
    }
}

async fn accept(listener: TcpListener, to: u16, silence: Arc<Notify>) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let silence = silence.clone();
        connections.spawn(async move {
            let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                () = silence.notified() => std::future::pending().await,
            }
        });
    }
}

#[tokio::test]
async fn a_silent_connection_is_given_up_and_another_made() {
    let server = Server::start(each(even)).await;
    let relay = Relay::to(&server).await;
    let spicedb = connect_to(relay.port, SHORT, 1).await;
    assert_eq!(ask(&spicedb, &["u-0"]).await.unwrap(), [true]);
    relay.silence.notify_waiters();
    let began = Instant::now();
    let refused = ask(&spicedb, &["u-0"]).await;
    assert!(matches!(refused, Err(RelationshipsError::Unavailable(_))), "{refused:?}");
    assert!(began.elapsed() < SHORT * 2, "{:?}", began.elapsed());
    // Each try has a deadline of its own.
    while ask(&spicedb, &["u-0"]).await.is_err() {
        assert!(began.elapsed() < GIVEN_UP_BY, "it does not answer again");
    }
}

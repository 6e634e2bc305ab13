//! HTTP/1.1 over TCP, as plain as it gets, but for one thing: nobody holds a connection by sending nothing, or by reading
//! nothing.

use std::{pin::pin, time::Duration};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::config::TransportConfig;

/// Serves until `drain` is cancelled; then takes no more connections, and is over when the requests under way are answered.
/// WebSockets are on their own: [`super::tracked_router`] tells how they are waited for.
///
/// A connection on which no whole request head comes within `idle_timeout` (from its beginning, or from the answer before) is
/// closed, and on Linux one that takes nothing of an answer for `write_timeout`.
pub async fn serve(mut listener: TcpListener, router: Router, config: &TransportConfig, drain: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(config.idle_timeout);
    let patience = config.write_timeout;
    let connections = TaskTracker::new();
    // Those that can't be accepted are told by the listener, which goes on when there is room.
    while let Some((socket, _)) = drain.run_until_cancelled(Listener::accept(&mut listener)).await {
        prepare(&socket, patience);
        connections.spawn(connection(http.clone(), socket, router.clone(), drain.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn prepare(socket: &TcpStream, patience: Duration) {
    // An event must not wait for the next one to fill a segment.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "Nagle's algorithm stays on for a connection");
    }
    let_go_of_who_does_not_read(socket, Some(patience));
}

/// A client that takes nothing of what is sent for so long has its connection ended by the kernel. `None`: it may take as long
/// as it likes.
#[cfg(target_os = "linux")]
pub(super) fn let_go_of_who_does_not_read(socket: &TcpStream, patience: Option<Duration>) {
    let never = 0;
    let milliseconds = patience.map_or(never, |patience| u32::try_from(patience.as_millis()).unwrap_or(u32::MAX));
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(socket, milliseconds) {
        tracing::debug!(%error, "who does not read keeps a connection");
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn let_go_of_who_does_not_read(_: &TcpStream, _: Option<Duration>) {}

async fn connection(http: http1::Builder, socket: TcpStream, router: Router, drain: CancellationToken) {
    let router = TowerToHyperService::new(router);
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), router).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

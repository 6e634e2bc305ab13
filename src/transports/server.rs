//! HTTP/1.1 over TCP, as plain as it gets, but for one thing: nobody holds a connection by sending nothing.

use std::{pin::pin, time::Duration};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Serves until `drain` is cancelled; then takes no more connections, and is over when the requests under way are answered.
/// WebSockets are on their own: [`super::tracked_router`] tells how they are waited for.
///
/// A connection on which no whole request head comes within `idle` (from its beginning, or from the answer before) is closed.
pub async fn serve(mut listener: TcpListener, router: Router, idle: Duration, drain: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(idle);
    let connections = TaskTracker::new();
    // Those that can't be accepted are told by the listener, which goes on when there is room.
    while let Some((socket, _)) = drain.run_until_cancelled(Listener::accept(&mut listener)).await {
        connections.spawn(connection(http.clone(), socket, router.clone(), drain.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(http: http1::Builder, socket: TcpStream, router: Router, drain: CancellationToken) {
    // An event must not wait for the next one to fill a segment.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "Nagle's algorithm stays on for a connection");
    }
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

//! What the tests start, ask and listen to: the real binary, over its real sockets.

mod documents;
mod server;
mod viewer;
mod ws;

use std::{future::Future, time::Duration};

pub(crate) use self::{
    documents::{CHECK, RICH, WATCH, question},
    server::{Options, Server, run},
    viewer::{Viewer, code, cursor},
    ws::{Frame, Ws},
};

/// The demo member's MemberId.
pub(crate) const MEMBER: &str = "m-1001";

/// The longest that anything may take. It is only ever reached by a test that fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A server on an empty directory, with nothing special.
pub(crate) async fn gateway() -> Server {
    Server::start(Options::default()).await
}

/// Waits, but not for ever.
///
/// # Panics
/// `what` did not come in time.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

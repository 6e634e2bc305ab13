//! How a process ends in the middle of its work.

use std::os::unix::process::ExitStatusExt;

use super::clients::Observed;
use crate::{
    harness::{Options, Server},
    installation::Home,
};

const SIGABRT: i32 = 6;

#[derive(Debug)]
pub(super) enum Fault {
    /// SIGKILL, once the clients have seen so much.
    Kill { observed: usize },
    /// The process aborts at a failpoint, after so many passes.
    Abort { failpoint: &'static str, passes: usize },
}

impl Fault {
    /// What a process is started with that is to have this fault.
    pub(super) fn failpoints(&self) -> Option<String> {
        match self {
            Self::Kill { .. } => None,
            Self::Abort { failpoint, passes } => Some(format!("{failpoint}={passes}*off->return")),
        }
    }

    /// Returns once the process is gone.
    pub(super) async fn strike(&self, server: Server, observed: &Observed) -> Home {
        match self {
            Self::Kill { observed: count } => {
                observed.reaches(*count).await;
                server.kill().await
            }
            Self::Abort { .. } => server.crashed().await,
        }
    }
}

/// A failpoint can be passed before the port is open, for what the last crash left is taken up at once: then the process is
/// gone, and its home is what is left.
pub(super) async fn start(home: Home, options: Options) -> Result<Server, Home> {
    Server::try_start_in(home, options.clone()).await.map_err(|(home, status)| {
        assert_eq!(status.signal(), Some(SIGABRT), "ended with {status} before it was ready: {options:?}");
        home
    })
}

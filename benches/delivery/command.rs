//! What the orchestrator says to a server on its standard input, and what comes back: a JSON object on each line.

use serde::{Deserialize, Serialize};

/// Events of the channels `first..first + channels`, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Events {
    /// In all.
    pub(crate) events: u64,
    pub(crate) channels: u32,
    #[serde(default)]
    pub(crate) first: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// Makes members, each with a user who is that member, and users who may all see the first one. The bare servers know
    /// nobody, and need nothing made.
    Prepare { members: u32, staff: u32 },
    /// Each when it is due, `rate` a second.
    Paced {
        rate: f64,
        #[serde(flatten)]
        events: Events,
    },
    /// All at once.
    Burst(Events),
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Once, when connections are accepted.
    Address(std::net::SocketAddr),
    /// For each command.
    Done {
        /// How late the generator was at most, in microseconds. It is part of all latencies.
        late_us: u64,
    },
    Failed(String),
}

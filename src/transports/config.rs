use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// What the transports are bound by. In a file, lengths of time are whole milliseconds and sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransportConfig {
    /// The origins whose pages may open a WebSocket, as a browser sends them (`https://portal.example.org`). Empty: only
    /// pages that come from this server's own host. With a list, only those that are on it.
    pub allowed_origins: Vec<String>,
    /// The largest body of a POST.
    pub max_body_bytes: usize,
    /// The largest message that a WebSocket client may send.
    pub max_message_bytes: usize,
    /// How many operations (subscriptions, queries, mutations) one WebSocket may have in flight.
    pub max_operations: usize,
    /// How many connections one viewer may have.
    pub max_connections_per_viewer: usize,
    /// How many queries, mutations, polls and writes for clients with a name, of one viewer, may be in flight, on all transports
    /// together.
    pub max_in_flight_per_viewer: usize,
    /// How many operations one viewer may begin in a second, in the long run; connections, renewals of tokens and writes of what a
    /// client with a name acknowledges or forgets count as well.
    pub max_operations_per_second: u32,
    /// How many of them at once, after she was idle.
    pub max_operations_burst: u32,
    /// How many WebSockets may be open whose viewers are not known yet.
    pub max_unauthenticated: usize,
    /// How many queries, mutations and starts of subscriptions of one WebSocket run at once; the others wait.
    pub max_concurrency: usize,
    /// How much may wait to be sent to one WebSocket. Past it the client is told to resume by cursor (close code 1013).
    pub max_queued_bytes: usize,
    /// How much may wait to be sent to all WebSockets together. Past it those who have something waiting are told to resume
    /// by cursor as well; whoever keeps up is served on.
    pub max_queued_bytes_of_all: usize,
    /// How long a connection may go without a whole request head on it, from its beginning or from the answer before. WebSockets
    /// have pings instead.
    #[serde(rename = "idle_timeout_ms", deserialize_with = "milliseconds")]
    pub idle_timeout: Duration,
    /// How long the body of a POST may take to come.
    #[serde(rename = "body_timeout_ms", deserialize_with = "milliseconds")]
    pub body_timeout: Duration,
    /// How long a client may take nothing of an answer by HTTP, on Linux. WebSockets have pings and bounded queues instead.
    #[serde(rename = "write_timeout_ms", deserialize_with = "milliseconds")]
    pub write_timeout: Duration,
    /// How long a WebSocket client may take until its `connection_init`.
    #[serde(rename = "init_timeout_ms", deserialize_with = "milliseconds")]
    pub init_timeout: Duration,
    /// How often a `ping` with the progress cursor is sent.
    #[serde(rename = "ping_interval_ms", deserialize_with = "milliseconds")]
    pub ping_interval: Duration,
    /// After how many ping intervals without a word from the client its connection is given up.
    pub max_silent_intervals: u32,
    /// How long the closing handshake, and a write that is under way then, may take.
    #[serde(rename = "close_timeout_ms", deserialize_with = "milliseconds")]
    pub close_timeout: Duration,
    /// Advice for reconnecting, in `connection_ack`: the first delay.
    #[serde(rename = "retry_base_ms", deserialize_with = "milliseconds")]
    pub retry_base: Duration,
    /// Advice for reconnecting: the longest delay. When this server drains, its clients are spread over this time.
    #[serde(rename = "retry_cap_ms", deserialize_with = "milliseconds")]
    pub retry_cap: Duration,
    /// How long a long poll waits when the client does not say.
    #[serde(rename = "poll_wait_ms", deserialize_with = "milliseconds")]
    pub poll_wait: Duration,
    /// How long a long poll may be asked to wait.
    #[serde(rename = "max_poll_wait_ms", deserialize_with = "milliseconds")]
    pub max_poll_wait: Duration,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            max_body_bytes: 256 * 1024,
            max_message_bytes: 64 * 1024,
            max_operations: 100,
            max_connections_per_viewer: 100,
            max_in_flight_per_viewer: 256,
            max_operations_per_second: 1_000,
            max_operations_burst: 5_000,
            max_unauthenticated: 16_384,
            max_concurrency: 16,
            max_queued_bytes: 1024 * 1024,
            max_queued_bytes_of_all: 256 * 1024 * 1024,
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            init_timeout: Duration::from_secs(3),
            ping_interval: Duration::from_secs(25),
            max_silent_intervals: 2,
            close_timeout: Duration::from_secs(5),
            retry_base: Duration::from_millis(500),
            retry_cap: Duration::from_secs(30),
            poll_wait: Duration::from_secs(25),
            max_poll_wait: Duration::from_secs(60),
        }
    }
}

/// A value that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransportConfig {
    #[error("`{0}` must be more than 0")]
    Zero(&'static str),
    #[error("`{0}` must not be more than `{1}`")]
    Above(&'static str, &'static str),
    #[error("`allowed_origins` lists origins as browsers send them: `scheme://host` or `scheme://host:port`, no path")]
    Origin,
}

impl TransportConfig {
    /// What would make the transports useless or dangerous is refused before a port is bound.
    pub fn validate(&self) -> Result<(), InvalidTransportConfig> {
        let numbers = [
            ("max_body_bytes", self.max_body_bytes),
            ("max_message_bytes", self.max_message_bytes),
            ("max_operations", self.max_operations),
            ("max_connections_per_viewer", self.max_connections_per_viewer),
            ("max_in_flight_per_viewer", self.max_in_flight_per_viewer),
            ("max_operations_per_second", self.max_operations_per_second as usize),
            ("max_operations_burst", self.max_operations_burst as usize),
            ("max_unauthenticated", self.max_unauthenticated),
            ("max_concurrency", self.max_concurrency),
            ("max_queued_bytes", self.max_queued_bytes),
            ("max_queued_bytes_of_all", self.max_queued_bytes_of_all),
            ("max_silent_intervals", self.max_silent_intervals as usize),
            ("idle_timeout_ms", self.idle_timeout.as_millis() as usize),
            ("body_timeout_ms", self.body_timeout.as_millis() as usize),
            ("write_timeout_ms", self.write_timeout.as_millis() as usize),
            ("init_timeout_ms", self.init_timeout.as_millis() as usize),
            ("ping_interval_ms", self.ping_interval.as_millis() as usize),
            ("close_timeout_ms", self.close_timeout.as_millis() as usize),
            ("retry_base_ms", self.retry_base.as_millis() as usize),
        ];
        if let Some((name, _)) = numbers.iter().find(|(_, value)| *value == 0) {
            return Err(InvalidTransportConfig::Zero(name));
        }
        if self.poll_wait > self.max_poll_wait {
            return Err(InvalidTransportConfig::Above("poll_wait_ms", "max_poll_wait_ms"));
        }
        if self.retry_base > self.retry_cap {
            return Err(InvalidTransportConfig::Above("retry_base_ms", "retry_cap_ms"));
        }
        let is_origin = |origin: &String| origin.split_once("://").is_some_and(|(_, host)| is_host(host));
        if self.allowed_origins.iter().all(is_origin) { Ok(()) } else { Err(InvalidTransportConfig::Origin) }
    }
}

impl TransportConfig {
    /// When one of the clients that a server sends away is to come back: at random, so that they do not come at once.
    pub(super) fn jittered_retry(&self) -> Duration {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (base, cap) = (milliseconds(self.retry_base), milliseconds(self.retry_cap));
        Duration::from_millis(fastrand::u64(base..=cap.max(base)))
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && !host.contains(['/', '*', '?', '#'])
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_unknown_names_are_not() {
        TransportConfig::default().validate().expect("valid");
        let read = |json: &str| serde_json::from_str::<TransportConfig>(json);
        assert_eq!(read("{}").expect("all by default"), TransportConfig::default());
        assert_eq!(read(r#"{"init_timeout_ms":50}"#).expect("one set").init_timeout, Duration::from_millis(50));
        assert!(read(r#"{"init_timeout":50}"#).is_err());
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let refused = |change: fn(&mut TransportConfig)| {
            let mut config = TransportConfig::default();
            change(&mut config);
            config.validate().expect_err("refused")
        };
        assert_eq!(refused(|c| c.ping_interval = Duration::ZERO), InvalidTransportConfig::Zero("ping_interval_ms"));
        let above = InvalidTransportConfig::Above("poll_wait_ms", "max_poll_wait_ms");
        assert_eq!(refused(|c| c.max_poll_wait = Duration::ZERO), above);
        assert_eq!(refused(|c| c.allowed_origins = vec!["*".into()]), InvalidTransportConfig::Origin);
        assert_eq!(refused(|c| c.allowed_origins = vec!["https://a.test/".into()]), InvalidTransportConfig::Origin);
    }
}

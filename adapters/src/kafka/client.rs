//! How clients of Kafka are made: a connection's settings, and those that each kind of client needs.

use std::{collections::BTreeMap, fmt, ops::Deref, thread, time::Duration};

use rdkafka::{
    ClientConfig, ClientContext, config::RDKafkaLogLevel, consumer::ConsumerContext, error::KafkaError,
    types::RDKafkaErrorCode,
};

use super::error::{OpenError, sentence};

/// Where the brokers are and how they are reached.
#[derive(Clone)]
pub struct KafkaOptions {
    /// `host:port`, separated by commas: some of the cluster's brokers.
    pub brokers: String,
    pub topic: String,
    /// librdkafka's own settings of a connection (CONFIGURATION.md there): `security.protocol`, `sasl.*`, `ssl.*`,
    /// `socket.*` and a few more. All others are decided here.
    pub properties: BTreeMap<String, String>,
    /// What this process is called in the brokers' logs and quotas.
    pub client_id: String,
    /// The longest that a request may take before its caller is told that Kafka does not answer.
    pub deadline: Duration,
}

/// Values of properties may be secrets: only their names are shown.
impl fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaOptions")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("properties", &self.properties.keys())
            .field("client_id", &self.client_id)
            .field("deadline", &self.deadline)
            .finish()
    }
}

/// Properties that an operator may set: by prefix where the name ends with a dot.
const OF_THE_CONNECTION: &[&str] = &[
    "security.protocol",
    "sasl.",
    "ssl.",
    "enable.ssl.certificate.verification",
    "enable.sasl.oauthbearer.unsecure.jwt",
    "https.ca.",
    "socket.",
    "broker.address.",
    "connections.max.idle.ms",
    "client.dns.lookup",
    "client.rack",
    "debug",
];

/// For whoever reads, unless the operator sets it: librdkafka's own is a minute.
const SOCKET_TIMEOUT: (&str, &str) = ("socket.timeout.ms", "10000");

impl KafkaOptions {
    /// Of a client that asks and administrates.
    pub(crate) fn admin(&self) -> Result<ClientConfig, OpenError> {
        self.check()?;
        let mut config = ClientConfig::new();
        config.extend(self.properties.clone());
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.nagle.disable", "true")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("allow.auto.create.topics", "false")
            .set_log_level(RDKafkaLogLevel::Warning);
        Ok(config)
    }

    /// Of a producer that never gives a record up and never reorders.
    pub(crate) fn producer(&self) -> Result<ClientConfig, OpenError> {
        let mut config = self.admin()?;
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.timeout.ms", "0")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "1000");
        Ok(config)
    }

    /// Of a consumer that is told what to read (`assign`) and keeps its place itself. librdkafka asks for a group all the
    /// same; no offset is ever committed to it.
    pub(crate) fn consumer(&self, group: &str) -> Result<ClientConfig, OpenError> {
        let mut config = self.admin()?;
        // A broker that stood still may never answer what was under way, and all else waits behind it on the same connection.
        if !self.properties.contains_key(SOCKET_TIMEOUT.0) {
            config.set(SOCKET_TIMEOUT.0, SOCKET_TIMEOUT.1);
        }
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A place that is gone is told, never jumped over.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_uncommitted")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.min.bytes", "1")
            .set("fetch.error.backoff.ms", "50");
        Ok(config)
    }

    /// What librdkafka would say only later, or with the value in it.
    fn check(&self) -> Result<(), OpenError> {
        for property in self.properties.keys() {
            let of_the_connection =
                |allowed: &str| property == allowed || allowed.ends_with('.') && property.starts_with(allowed);
            if !OF_THE_CONNECTION.iter().any(|allowed| of_the_connection(allowed)) {
                return Err(OpenError::NotOfTheConnection { property: property.clone() });
            }
        }
        match self.needs_tls() {
            Some(property) if !cfg!(feature = "kafka-tls") => Err(OpenError::BuiltWithoutTls { property }),
            _ => Ok(()),
        }
    }

    /// The property that asks for what librdkafka has from OpenSSL.
    fn needs_tls(&self) -> Option<&'static str> {
        let starts =
            |name, with| self.properties.get(name).is_some_and(|value| value.to_ascii_uppercase().starts_with(with));
        if starts("security.protocol", "SSL") || starts("security.protocol", "SASL_SSL") {
            return Some("security.protocol");
        }
        ["sasl.mechanism", "sasl.mechanisms"].into_iter().find(|name| starts(name, "SCRAM"))
    }
}

/// A client whose end waits for threads of its own, and so does not happen on a thread of the runtime.
pub(crate) struct Detached<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Detached<T> {
    pub(crate) fn of(client: T) -> Self {
        Self(Some(client))
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) {
        let client = self.0.take();
        // A panic in there is the thread's own.
        let _ = tokio::task::spawn_blocking(move || drop(client)).await;
    }
}

impl<T: Send + 'static> Deref for Detached<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only its end takes it")
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            thread::spawn(move || drop(client));
        }
    }
}

/// Counts a client's errors and passes its log on to ours.
pub(crate) struct Reports {
    /// The client's part, e.g. `relay`.
    client: &'static str,
}

impl Reports {
    pub(crate) fn of(client: &'static str) -> Self {
        Self { client }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        let client = self.client;
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(client, facility, "librdkafka: {text}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(client, facility, "librdkafka: {text}"),
            RDKafkaLogLevel::Debug => tracing::debug!(client, facility, "librdkafka: {text}"),
        }
    }

    fn error(&self, error: KafkaError, _: &str) {
        // The end of a partition comes by this way too.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            count_error(self.client, &error);
        }
    }
}

impl ConsumerContext for Reports {}

/// An error that a client lives on with: it tries again by itself.
pub(crate) fn count_error(client: &'static str, error: &KafkaError) {
    metrics::counter!("sluice_kafka_errors_total", "client" => client).increment(1);
    // Each client asks for its group's coordinator, which is of no use to one that has no group.
    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
        tracing::warn!(client, "Kafka: {}", sentence(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(properties: &[(&str, &str)]) -> KafkaOptions {
        KafkaOptions {
            brokers: "kafka-1:9092".into(),
            topic: "sluice.events".into(),
            properties: properties.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            client_id: "sluice".into(),
            deadline: Duration::from_secs(5),
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let options = with(&[("sasl.password", "hunter2"), ("ssl.key.pem", "PEM-KEY")]);
        let shown = format!("{options:?}");
        assert!(shown.contains("sasl.password"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("PEM-KEY"), "{shown}");
    }

    #[test]
    fn only_the_connection_is_the_operators() {
        for property in ["acks", "enable.idempotence", "group.id", "bootstrap.servers", "message.timeout.ms", "sasl"] {
            let refused = with(&[(property, "secret")]).producer().expect_err(property).to_string();
            assert!(refused.contains(property) && !refused.contains("secret"), "{refused}");
        }
        let plain = [("security.protocol", "sasl_plaintext"), ("sasl.mechanisms", "PLAIN"), ("sasl.username", "u")];
        with(&plain).producer().expect("a connection's own");
    }

    #[test]
    fn how_long_a_reader_waits_is_the_operators_if_she_says_so() {
        let timeout =
            |properties| with(properties).consumer("g").expect("sound").get(SOCKET_TIMEOUT.0).map(str::to_owned);
        assert_eq!(timeout(&[]).as_deref(), Some("10000"));
        assert_eq!(timeout(&[(SOCKET_TIMEOUT.0, "30000")]).as_deref(), Some("30000"));
    }

    #[cfg(not(feature = "kafka-tls"))]
    #[test]
    fn a_build_without_tls_says_so() {
        for property in
            [("security.protocol", "SSL"), ("security.protocol", "sasl_ssl"), ("sasl.mechanism", "SCRAM-SHA-512")]
        {
            let error = with(&[property]).consumer("g").expect_err(property.1);
            assert!(matches!(error, OpenError::BuiltWithoutTls { .. }), "{error}");
        }
    }
}

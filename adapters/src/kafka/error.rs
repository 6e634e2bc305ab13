//! What can be wrong with Kafka, in sentences.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};

/// Each text says what is wrong, where, and what to do: it is what the process ends with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("Kafka at {brokers} can't be used: {why}")]
    Unreachable { brokers: String, why: String },
    #[error("the Kafka property {property} is not one of a connection's: remove it, Sluice decides it by itself")]
    NotOfTheConnection { property: String },
    #[error(
        "the Kafka property {property} asks for what this build lacks: use a build with the cargo feature `kafka-tls`"
    )]
    BuiltWithoutTls { property: &'static str },
    #[error("Kafka's client refuses its settings ({property}): see librdkafka's CONFIGURATION.md")]
    Settings { property: String },
    #[error("the topic {topic} is not there: create it, or grant CREATE on it")]
    NoTopic { topic: String },
    #[error(
        "the topic {topic} has {found} partitions and the store has {wanted}: name another topic, or remove this one so that \
         it is made anew"
    )]
    Partitions { topic: String, found: usize, wanted: u16 },
    #[error("the topic {topic} has {setting}={found}, with which events get lost: set it to {wanted}")]
    TopicSetting { topic: String, setting: &'static str, found: String, wanted: &'static str },
    #[error(
        "the topic {topic} was made anew: events were copied to it, and they are not in it; a process with the role `relay` begins \
         a new epoch, and this one can start again then"
    )]
    MadeAnew { topic: String },
    #[error("the topic {topic} can't be used: {why}")]
    Topic { topic: String, why: String },
}

/// What a client's error means and what to do. librdkafka's own texts may quote a setting's value, so they are not used.
pub(crate) fn sentence(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, _, property, _) => {
            format!("the setting {property} is refused: see librdkafka's CONFIGURATION.md")
        }
        KafkaError::ClientCreation(_) => "the client can't be made: check the connection's properties".into(),
        error => error.rdkafka_error_code().map_or_else(|| "the request was refused".into(), of_code),
    }
}

/// As [`sentence`], of a code.
pub(crate) fn of_code(code: Code) -> String {
    let what = match code {
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve => {
            "no broker can be reached; check the addresses, the network and whether they run"
        }
        Code::OperationTimedOut | Code::RequestTimedOut | Code::MessageTimedOut | Code::TimedOutQueue => {
            "no answer in time; check the brokers' load and the network"
        }
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            "the brokers refuse who this is; check sasl.* and security.protocol"
        }
        Code::SSL => "TLS failed; check ssl.* and the brokers' certificates",
        Code::TopicAuthorizationFailed => "the right on the topic is missing; see the rights in docs/operate.md",
        Code::ClusterAuthorizationFailed => "a right on the cluster is missing; see the rights in docs/operate.md",
        Code::GroupAuthorizationFailed => "the right on the group is missing; see the rights in docs/operate.md",
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            "the topic or a partition of it is not there, or no broker leads it; create it, or check the brokers"
        }
        Code::MessageSizeTooLarge => "a record is larger than the brokers take; raise the topic's max.message.bytes",
        Code::InvalidRecord => "a record is refused; check the topic's message.timestamp.* and cleanup.policy",
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            "too few replicas are in sync for min.insync.replicas; check the brokers"
        }
        Code::OffsetOutOfRange | Code::AutoOffsetReset => "the asked offset is not there any more",
        other => return format!("the error {other:?}"),
    };
    what.into()
}

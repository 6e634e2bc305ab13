//! What both benchmarks have of another service, whose events come to Sluice by a topic of its own: enrollment, which tells of coverages.

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
};

/// How Sluice is told of the topic: its configuration.
pub(crate) fn mapping(topic: &str, tenant: &str) -> String {
    format!(
        r#"[[foreign_topics]]
topic = "{topic}"
format = "cloudevents"
tenant = "{tenant}"

[[foreign_topics.events]]
type = "bench.coverage.changed"
message = "sluice.coverage.v1.CoverageChanged"
subject_type = "Coverage"
subject = "{{data.coverageId}}"
member = "{{data.memberId}}"
channel = "/members/{{data.memberId}}/coverage/{{data.coverageId}}"
"#
    )
}

/// Of one event, which no other has the id of.
pub(crate) fn headers(id: &str) -> OwnedHeaders {
    let attributes = [
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", "//enrollment.example"),
        ("ce_type", "bench.coverage.changed"),
        ("content-type", "application/json"),
    ];
    let headers = attributes.into_iter();
    headers.fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// `client` names the brokers.
pub(crate) async fn make_topics(client: &ClientConfig, partitions: i32, names: &[&str]) -> Result<(), String> {
    let admin: AdminClient<DefaultClientContext> = client.create().map_err(|error| error.to_string())?;
    let new: Vec<_> = names.iter().map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1))).collect();
    let made = admin.create_topics(&new, &AdminOptions::new()).await.map_err(|error| error.to_string())?;
    made.into_iter().try_for_each(|made| made.map(drop).map_err(|(_, code)| format!("a topic: {code}")))
}

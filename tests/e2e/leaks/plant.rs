//! Events with a word in each text of them.

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, Kind, MessageDescriptor, Value as Field, prost::Message,
};
use sluice::{
    app::{App, Ports},
    config::{Config, Sources, Telemetry},
    telemetry,
};
use sluice_domain::{
    publish::{Cause, Envelope, member_key},
    store::{Append, Appended},
};
use sluice_schema::{
    access::MESSAGES,
    event::StreamId,
    ids::{MemberId, TenantId},
    proto::{
        DESCRIPTORS,
        header::{Provenance, Subject},
    },
};

use super::word;
use crate::{harness::MEMBER, installation::Home};

/// Appends an event of each type that there is, with the word in each text of it. How many.
pub(super) async fn plant(home: &Home) -> usize {
    let environment = home.environment().iter().cloned().collect();
    let flags = vec![("data_dir", home.data_dir().display().to_string())];
    let config = Config::load(&Sources { file: None, environment, flags }).unwrap();
    let metrics = telemetry::start(&Telemetry { log_filter: "off".into(), ..Telemetry::default() }).unwrap();
    let app = Box::pin(App::build(config, metrics)).await.unwrap();
    let (ports, tenant) = (app.ports(), home.tenant().parse::<TenantId>().unwrap());
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    // Those that may be events are seen by somebody; parts by nobody.
    let events = MESSAGES.iter().filter(|table| !table.label.visibilities.is_empty());
    let mut planted = 0;
    for table in events.filter(|table| table.name != "sluice.eligibility.v1.EligibilityCheck") {
        let descriptor = pool.get_message_by_name(table.name).unwrap();
        append(&ports, &tenant, table.name, &filled(&descriptor, 0)).await;
        planted += 1;
    }
    planted
}

async fn append(ports: &Ports, tenant: &TenantId, type_name: &str, payload: &DynamicMessage) {
    let member: MemberId = MEMBER.parse().unwrap();
    let key = ports.keyring.create_or_get(tenant, &member_key(&member)).await.unwrap();
    let envelope = Envelope {
        tenant: tenant.clone(),
        subject: Subject { r#type: "EligibilityCheck".into(), id: "ec-canary".into() },
        routing_key: member_key(&member),
        channel: format!("/members/{MEMBER}/canary").parse().unwrap(),
        occurred_at: jiff::Timestamp::now(),
        producer: "test".into(),
        cause: Cause::default(),
        provenance: Provenance { actor: "test".into(), system: "test".into(), purpose_of_use: String::new() },
    };
    let sealed = envelope.seal(&key, type_name.to_owned(), &payload.encode_to_vec()).unwrap();
    let stream = StreamId::of("Canary", &type_name.replace('.', "-"));
    let append =
        Append { tenant: tenant.clone(), stream, expected_version: 0, events: vec![sealed], idempotency: None };
    assert!(matches!(ports.store.append(append).await, Ok(Appended::Fresh { .. })), "{type_name}");
}

/// The word in each text, at every depth; the member's id where it has to be right.
fn filled(descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let value = match field.kind() {
            Kind::String if field.name() == "member_id" && descriptor.name() != "Subscriber" => {
                Field::String(MEMBER.to_owned())
            }
            Kind::String => Field::String(format!("{}{}", word(), field.name())),
            Kind::Bool => Field::Bool(true),
            Kind::Enum(kind) => Field::EnumNumber(kind.values().map(|value| value.number()).max().unwrap_or_default()),
            Kind::Message(part) if part.full_name() == "google.protobuf.Timestamp" => {
                let mut time = DynamicMessage::new(part);
                time.set_field_by_name("seconds", Field::I64(1_795_000_000));
                Field::Message(time)
            }
            Kind::Message(part) if depth < 5 => Field::Message(filled(&part, depth + 1)),
            _ => continue,
        };
        let value = if field.cardinality() == Cardinality::Repeated { Field::List(vec![value]) } else { value };
        message.set_field(&field, value);
    }
    message
}

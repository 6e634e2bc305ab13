//! What an event holds leaves by its answers alone: a word that is in every field of every event is in no log line, metric,
//! error, close reason, audit record or file.

use std::{fs, path::Path, time::Duration};

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, Kind, MessageDescriptor, Value as Field, prost::Message,
};
use serde_json::{Value, json};
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

use crate::{
    harness::{MEMBER, Options, Server, Ws, code},
    installation::Home,
};

/// No other text of ours has it.
const CANARY: &str = "Canary7fa3";

const PEOPLE: [&str; 6] = ["member", "guardian", "nurse", "billing", "stranger", "privacy"];

const CHANNEL: &str = "/members/m-1001/**";

/// Everything that there is of a check.
const EVENTS: &str = "subscription($channel: Channel!, $after: Cursor) { events(channel: $channel, after: $after) {
    id type payload {
        ... on EligibilityCheckChanged { changed after { id requestedBy subscriber { memberId firstName lastName }
            coverage { planName benefits { code name } substanceUseBenefits { name } hivBenefits { name } } } }
        ... on CoverageChanged { planName reason }
        ... on GlassBroken { userId reason }
    }
} }";

#[tokio::test]
async fn nothing_of_an_event_leaves_otherwise_than_by_an_answer() {
    let server = start(Home::new().await).await;
    let after = server.viewer("member").now().await;
    let home = server.terminate().await;
    let planted = plant(&home).await;

    let server = start(home).await;
    let seen = watched(&server, &after, planted).await;
    assert!(seen.contains(CANARY), "the member sees what is hers");
    let told = provoked(&server).await;
    let (_, metrics) = server.get("/metrics").await;
    let (_, ready) = server.get("/readyz").await;
    let log = server.log();
    let home = server.terminate().await;
    assert!(log.contains("TRACE"), "all that can be logged is");
    let audit = home.audit_bodies().await.join("\n");
    assert!(audit.contains(MEMBER), "the trail is there");
    for (what, text) in [
        ("what was answered to bad requests", &told),
        ("the metrics", &metrics),
        ("/readyz", &ready),
        ("the log", &log),
        ("the audit trail", &audit),
    ] {
        assert_clean(what, text.as_bytes());
    }
    assert_files_clean(home.path());
}

async fn start(home: Home) -> Server {
    Server::start_in(home, Options::default().env("SLUICE__TELEMETRY__LOG_FILTER", "trace")).await
}

fn assert_clean(what: &str, bytes: &[u8]) {
    let Some(at) = bytes.windows(CANARY.len()).position(|window| window == CANARY.as_bytes()) else { return };
    let around = &bytes[at.saturating_sub(200)..bytes.len().min(at + 60)];
    panic!("{what} has it: …{}…", String::from_utf8_lossy(around));
}

/// The databases and their journals, the signed heads, the keys.
fn assert_files_clean(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_files_clean(&path);
        } else {
            assert_clean(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

/// Everybody watches everything from before it happened, on each transport. What the member got.
async fn watched(server: &Server, after: &str, planted: usize) -> String {
    let mut hers = String::new();
    for person in PEOPLE {
        let viewer = server.viewer(person);
        let mut ws = viewer.connect().await;
        ws.subscribe("w", EVENTS, json!({ "channel": CHANNEL, "after": after })).await;
        let polled = viewer.poll(CHANNEL, Some(after), Duration::ZERO).await.to_string();
        if person == "member" {
            for _ in 0..planted {
                ws.next_for("w").await;
            }
            hers = ws.log().concat() + &polled;
        } else {
            ws.ping().await;
        }
        let check = "query($id: ID!) { eligibilityCheck(id: $id) { id requestedBy subscriber { firstName } } }";
        viewer.graphql(check, json!({ "id": "ec-canary" })).await;
    }
    hers
}

/// Requests that can't be answered, with the word wherever one may put a value. All that was said to them.
async fn provoked(server: &Server) -> String {
    let viewer = server.viewer("billing");
    let mut told = Vec::new();
    let check = "query($id: ID!) { eligibilityCheck(id: $id) { id } }";
    // What could be an id is on record as what was asked for.
    for id in [format!("{CANARY} {CANARY}"), format!("{CANARY}/{CANARY}"), format!("{CANARY}\u{e9}")] {
        told.push(viewer.graphql(check, json!({ "id": id })).await.to_string());
    }
    let request = "mutation($input: RequestEligibilityCheckInput!) {
        requestEligibilityCheck(input: $input, idempotencyKey: \"k\") { id }
    }";
    let right = crate::harness::question(crate::harness::RICH);
    for pointer in [
        "/memberId",
        "/payerId",
        "/provider/npi",
        "/subscriber/memberId",
        "/subscriber/firstName",
        "/subscriber/dateOfBirth",
    ] {
        let mut input = right.clone();
        // Control characters are in no text that is taken.
        *input.pointer_mut(pointer).unwrap() = Value::from(format!("{CANARY}\u{7}"));
        let answer = viewer.graphql(request, json!({ "input": input })).await;
        assert!(answer["errors"].is_array(), "{pointer}: {answer}");
        told.push(answer.to_string());
    }
    told.push(viewer.poll(&format!("/{CANARY}//"), None, Duration::ZERO).await.to_string());
    told.push(viewer.poll(CHANNEL, Some(CANARY), Duration::ZERO).await.to_string());
    let stranger = server.with_token(CANARY);
    let refused = stranger.graphql(check, json!({ "id": "ec-1" })).await;
    assert_eq!(code(&refused), "UNAUTHENTICATED");
    told.push(refused.to_string());
    for text in [format!("{{\"{CANARY}\""), format!("{{\"type\":\"{CANARY}\"}}"), CANARY.to_owned()] {
        let mut ws = viewer.connect().await;
        ws.say(&text).await;
        let close = ws.closed().await.expect("with a close frame");
        told.push(close.reason.to_string());
    }
    let mut ws = Ws::greet(server.subscriptions_url(), CANARY).await;
    told.push(ws.closed().await.expect("with a close frame").reason.to_string());
    told.join("\n")
}

/// Appends an event of each type that there is, with the word in each text of it. How many.
async fn plant(home: &Home) -> usize {
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
            Kind::String => Field::String(format!("{CANARY}{}", field.name())),
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

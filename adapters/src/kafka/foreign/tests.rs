use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};
use sluice_schema::proto::{coverage::CoverageChanged, header::Header};

use super::{
    config::*,
    event::Rejection,
    mapping::Mapping,
    record::{MAX_VALUE, Record},
    trace,
};

fn topic(format: Format) -> ForeignTopic {
    let format = if format == Format::CloudEvents { "cloudevents" } else { "protobuf" };
    serde_json::from_value(json!({
        "topic": "enrollment", "format": format, "tenant": "acme",
        "events": [{
            "type": "coverage.changed", "message": "sluice.coverage.v1.CoverageChanged",
            "subject_type": "Coverage", "subject": "{data.coverageId}",
            "member": "{data.memberId}", "channel": "/members/{data.memberId}/coverage/{data.coverageId}",
        }],
    }))
    .expect("a configuration")
}

fn mapping(format: Format) -> Mapping {
    Mapping::new(&topic(format)).expect("checked")
}

fn data() -> Value {
    json!({ "coverageId": "cov-1", "memberId": "m-1", "status": "COVERAGE_STATUS_ACTIVE", "planName": "Gold" })
}

fn cloud_event() -> Value {
    json!({ "specversion": "1.0", "id": "e-1", "source": "//enrollment", "type": "coverage.changed",
        "time": "2026-11-24T08:30:00Z", "data": data() })
}

fn record(headers: &[(&str, &[u8])], value: impl Into<Vec<u8>>) -> Record {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), Some(value.to_vec()))).collect();
    Record { value: Some(value.into()), headers, ..Record::default() }
}

fn structured(event: &Value) -> Record {
    record(&[("content-type", b"application/cloudevents+json; charset=utf-8")], event.to_string())
}

const BINARY: [(&str, &[u8]); 5] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e-1"),
    ("ce_source", b"//enrollment"),
    ("ce_type", b"coverage.changed"),
    ("content-type", b"application/json"),
];

fn header() -> Header {
    Header {
        event_id: "e-1".into(),
        r#type: "coverage.changed".into(),
        producer: "enrollment/1.2".into(),
        ..Default::default()
    }
}

fn coverage() -> Vec<u8> {
    CoverageChanged { coverage_id: "cov-1".into(), member_id: "m-1".into(), ..Default::default() }.encode_to_vec()
}

fn rejection(mapping: &Mapping, record: &Record) -> Rejection {
    mapping.read(record).expect_err("a dead letter")
}

#[test]
fn each_format_gives_the_same_event() {
    let base64 = json!({ "specversion": "1.0", "id": "e-1", "source": "//enrollment", "type": "coverage.changed",
        "datacontenttype": "application/protobuf", "data_base64": "CgVjb3YtMRIDbS0x" });
    let cloud = mapping(Format::CloudEvents);
    for record in [structured(&cloud_event()), record(&BINARY, data().to_string()), structured(&base64)] {
        let event = cloud.read(&record).expect("decoded").expect("mapped");
        assert_eq!((event.source.as_str(), event.id.as_str()), ("//enrollment", "e-1"));
        assert_eq!((event.channel.as_str(), event.routing_key.id.as_str()), ("/members/m-1/coverage/cov-1", "m-1"));
        assert_eq!((event.subject.id.as_str(), event.tenant.as_str()), ("cov-1", "acme"));
    }
    let protobuf = mapping(Format::Protobuf);
    let event = protobuf.read(&record(&[("sluice-header", &header().encode_to_vec())], coverage()));
    let event = event.expect("decoded").expect("mapped");
    assert_eq!((event.source.as_str(), event.payload), ("enrollment", coverage()));
}

#[test]
fn confluent_framing_is_stripped() {
    let mapping =
        Mapping::new(&ForeignTopic { framing: Framing::Confluent, ..topic(Format::Protobuf) }).expect("checked");
    let framed = |frame: &[u8]| record(&[("sluice-header", &header().encode_to_vec())], [frame, &coverage()].concat());
    for frame in [&[0, 0, 0, 0, 7, 0][..], &[0, 0, 0, 0, 7, 2, 0], &[0, 0, 0, 0, 7, 4, 2, 0]] {
        let event = mapping.read(&framed(frame)).expect("decoded").expect("mapped");
        assert_eq!(event.payload, coverage(), "{frame:?}");
    }
    for frame in [&[][..], &[1, 0, 0, 0, 7, 0], &[0, 0, 0]] {
        assert_eq!(rejection(&mapping, &framed(frame)).reason, "undecodable", "{frame:?}");
    }
}

#[test]
fn what_a_cloud_event_lacks_or_has_wrong_makes_it_a_dead_letter() {
    let mapping = mapping(Format::CloudEvents);
    for name in ["specversion", "id", "source", "type", "data"] {
        for wrong in [None, Some(json!(7)), Some(json!([])), Some(json!(null)), Some(json!(""))] {
            let mut event = cloud_event();
            match wrong {
                None => drop(event.as_object_mut().expect("an object").remove(name)),
                Some(wrong) => event[name] = wrong,
            }
            assert_eq!(rejection(&mapping, &structured(&event)).reason, "undecodable", "{event}");
        }
    }
    for (i, (name, _)) in BINARY.iter().enumerate().take(4) {
        let mut headers = BINARY.to_vec();
        let twice = [headers.clone(), vec![headers[i]]].concat();
        assert_eq!(rejection(&mapping, &record(&twice, data().to_string())).reason, "undecodable", "{name} twice");
        headers.remove(i);
        assert_eq!(rejection(&mapping, &record(&headers, data().to_string())).reason, "undecodable", "no {name}");
    }
    let mut event = cloud_event();
    event["time"] = json!("yesterday");
    assert_eq!(rejection(&mapping, &structured(&event)).reason, "undecodable");
    assert_eq!(rejection(&mapping, &structured(&json!([cloud_event()]))).reason, "undecodable");
    assert_eq!(rejection(&mapping, &record(&BINARY, vec![b' '; MAX_VALUE + 1])).reason, "too_large");
    assert_eq!(rejection(&mapping, &record(&[], Vec::new())).reason, "undecodable");
}

#[test]
fn what_an_event_may_not_say_is_refused_without_its_values() {
    let mapping = mapping(Format::CloudEvents);
    let with = |name: &str, value: Value| {
        let mut event = cloud_event();
        event[name] = value;
        structured(&event)
    };
    let mut jane = data();
    jane["memberId"] = json!("Jane/Doe");
    for (record, reason) in [
        (with("tenant", json!("other")), "refused"),
        (with("type", json!("else")), "unmapped"),
        (with("data", jane), "refused"),
        (with("data", json!({ "member": "Jane" })), "undecodable"),
        (with("data", json!({ "status": "NO_SUCH" })), "undecodable"),
    ] {
        let rejection = rejection(&mapping, &record);
        assert_eq!(rejection.reason, reason, "{rejection:?}");
        assert!(!rejection.detail.contains("Jane") && !rejection.detail.contains("other\""), "{rejection:?}");
    }
    let topic = ForeignTopic { sources: vec!["//else".into()], ..topic(Format::CloudEvents) };
    let closed = Mapping::new(&topic).expect("checked");
    assert_eq!(rejection(&closed, &structured(&cloud_event())).reason, "refused");
}

#[test]
fn an_operator_may_have_types_ignored_and_fields_dropped() {
    let lenient =
        ForeignTopic { unmapped: Unmapped::Ignore, unknown_fields: UnknownFields::Drop, ..topic(Format::CloudEvents) };
    let mapping = Mapping::new(&lenient).expect("checked");
    let mut event = cloud_event();
    event["data"]["shoeSize"] = json!(43);
    assert!(mapping.read(&structured(&event)).expect("decoded").is_some());
    event["type"] = json!("else");
    assert!(mapping.read(&structured(&event)).expect("ignored").is_none());
}

#[test]
fn a_mapping_that_cannot_be_says_where() {
    let broken = |change: fn(&mut EventMapping)| {
        let mut topic = topic(Format::CloudEvents);
        change(&mut topic.events[0]);
        Mapping::new(&topic).err().expect("it can't be").to_string()
    };
    for (said, key) in [
        (broken(|e| e.message = "sluice.eligibility.v1.EligibilityCheckAnswered".into()), "message"),
        (broken(|e| e.message = "sluice.coverage.v1.Nothing".into()), "message"),
        (broken(|e| e.subject = "{data.noSuch}".into()), "subject"),
        (broken(|e| e.subject = "{Subject}".into()), "subject"),
        (broken(|e| e.subject = "{subject".into()), "subject"),
        (broken(|e| e.channel = "/members/{data.memberId}/a b".into()), "channel"),
        (broken(|e| e.channel = "/teams/{subject}".into()), "channel"),
        (broken(|e| e.member = None), "member"),
        (broken(|e| e.team = Some("{subject}".into())), "member"),
    ] {
        assert!(said.starts_with("the foreign topic enrollment, ") && said.contains(&format!(", {key}: ")), "{said}");
    }
}

#[test]
fn only_a_well_formed_trace_is_taken_over() {
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert!(trace::is_traceparent(good));
    for bad in [
        "",
        &good[1..],
        &good.to_uppercase(),
        &format!("{good}-x"),
        &good.replace("b7ad6b7169203331", "0000000000000000"),
    ] {
        assert!(!trace::is_traceparent(bad), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_record_makes_it_panic(
        names in prop::collection::vec("(ce_)?[a-z]{1,8}|content-type|sluice-header|ce_id", 0..6),
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 6),
        value in prop::collection::vec(any::<u8>(), 0..200),
        structured in any::<bool>(),
    ) {
        let mut headers: Vec<_> = names.into_iter().zip(values).map(|(name, value)| (name, Some(value))).collect();
        if structured {
            headers.push(("content-type".into(), Some(b"application/cloudevents+json".to_vec())));
        }
        let record = Record { value: Some(value), headers, ..Record::default() };
        let confluent = ForeignTopic { framing: Framing::Confluent, ..topic(Format::Protobuf) };
        for mapping in [mapping(Format::CloudEvents), mapping(Format::Protobuf), Mapping::new(&confluent).expect("checked")] {
            let _ = mapping.read(&record);
        }
    }

    #[test]
    fn a_damaged_cloud_event_never_panics(at in 0usize..200, byte in any::<u8>()) {
        let mut record = structured(&cloud_event());
        let value = record.value.as_mut().expect("a value");
        let length = value.len();
        value[at % length] = byte;
        let _ = mapping(Format::CloudEvents).read(&record);
    }
}

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_schema::error::{ClientError, Code};

use super::{
    super::{Answer, websocket::Violation},
    protocol::{Action, Delivery, Input, Limits, Operation, Protocol},
};

pub(super) const INIT: &str = r#"{"type":"connection_init","payload":{"authorization":"Bearer t"}}"#;
const ACK: &str = r#"{"type":"connection_ack"}"#;
const LIMITS: Limits = Limits { message_bytes: 500, operations: 2, silent_intervals: 2 };

pub(super) fn fresh() -> Protocol {
    Protocol::new(LIMITS, ACK.into())
}

pub(super) fn ready() -> Protocol {
    let mut protocol = fresh();
    assert_eq!(told(&protocol.handle(Input::Text(INIT))), "authenticate t");
    assert_eq!(told(&protocol.handle(Input::Authenticated(Ok(())))), format!("send {ACK}"));
    protocol
}

fn subscribe(id: &str) -> String {
    json!({ "type": "subscribe", "id": id, "payload": { "query": "subscription { a }" } }).to_string()
}

fn start(protocol: &mut Protocol, id: &str) -> Operation {
    match protocol.handle(Input::Text(&subscribe(id))).pop() {
        Some(Action::Start(operation, _)) => operation,
        other => panic!("{other:?}"),
    }
}

/// The actions as a text, an action a line.
pub(super) fn told(actions: &[Action]) -> String {
    let tell = |action: &Action| match action {
        Action::Send(text) => format!("send {text}"),
        Action::Ping => "ping".to_owned(),
        Action::Authenticate(token, None) => format!("authenticate {token}"),
        Action::Authenticate(token, Some(name)) => format!("authenticate {token} as {name}"),
        Action::Renew(token) => format!("renew {token}"),
        Action::Acknowledge(cursor, answer) => format!("acknowledge {:?} {answer}", cursor.vector.0),
        Action::Forget => "forget".to_owned(),
        Action::Start(operation, request) => format!("start {} {}", operation.id, request.query),
        Action::Stop(operation) => format!("stop {}", operation.id),
        Action::Close(close) => format!("close {} {}", close.code, close.reason()),
    };
    actions.iter().map(tell).collect::<Vec<_>>().join("\n")
}

pub(super) fn code(actions: &[Action]) -> u16 {
    match actions {
        [Action::Close(close)] => close.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_message_closes_with_4400() {
    let too_big = format!(r#"{{"type":"ping","payload":{{"x":"{}"}}}}"#, "x".repeat(500));
    let long_id = subscribe(&"x".repeat(1025));
    let deep = format!(
        r#"{{"type":"subscribe","id":"1","payload":{{"query":"q","variables":{{"a":{}1{}}}}}}}"#,
        "[".repeat(150),
        "]".repeat(150)
    );
    let messages = [
        "",
        "nothing",
        "null",
        "1",
        "\"ping\"",
        "[]",
        r#"["ping"]"#,
        "{",
        "{}",
        r#"{"type":1}"#,
        r#"{"type":"start"}"#,
        r#"{"type":"connection_ack"}"#,
        r#"{"type":"next","id":"1","payload":{}}"#,
        r#"{"type":"PING"}"#,
        r#"{"type":"ping","type":"pong"}"#,
        r#"{"type":"ping","payload":1}"#,
        r#"{"type":"ping","payload":[]}"#,
        r#"{"type":"connection_init","payload":"x"}"#,
        r#"{"type":"connection_init","payload":[]}"#,
        r#"{"type":"connection_init","payload":{"authorization":"a","Authorization":"b"}}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","id":"1"}"#,
        r#"{"type":"subscribe","id":1,"payload":{"query":"q"}}"#,
        r#"{"type":"subscribe","id":"","payload":{"query":"q"}}"#,
        r#"{"type":"subscribe","id":"1","payload":{}}"#,
        r#"{"type":"subscribe","id":"1","payload":["q",null,null,null]}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"q","variables":[]}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"q","operationName":1}}"#,
        r#"{"type":"complete"}"#,
        r#"{"type":"complete","id":""}"#,
        &too_big,
        &long_id,
        &deep,
    ];
    for message in messages {
        for mut protocol in [fresh(), ready()] {
            let actions = protocol.handle(Input::Text(message));
            assert_eq!(code(&actions), 4400, "{message}");
            assert!(told(&actions).starts_with("close 4400 Invalid message: "));
        }
    }
    assert_eq!(code(&fresh().handle(Input::Binary)), 4400);
    let unreadable = [(Violation::TooBig, 4400), (Violation::NotText, 1007), (Violation::Protocol, 1002)];
    for (violation, expected) in unreadable {
        assert_eq!(code(&fresh().handle(Input::Unreadable(violation))), expected);
    }
}

#[test]
fn a_close_reason_repeats_nothing_of_the_message() {
    let message = r#"{"type":"subscribe","id":"1","payload":{"query":"q","variables":"Jane Doe"}}"#;
    assert!(!told(&ready().handle(Input::Text(message))).contains("Jane"));
}

#[test]
fn each_state_has_its_close_codes() {
    let init = |protocol: &mut Protocol, message: &str| code(&protocol.handle(Input::Text(message)));
    assert_eq!(told(&fresh().handle(Input::InitTimeout)), "close 4408 Connection initialisation timeout");
    assert_eq!(told(&fresh().handle(Input::Text(&subscribe("1")))), "close 4401 Unauthorized");
    assert_eq!(told(&ready().handle(Input::Text(INIT))), "close 4429 Too many initialisation requests");
    for message in [
        r#"{"type":"connection_init"}"#,
        r#"{"type":"connection_init","payload":null}"#,
        r#"{"type":"connection_init","payload":{}}"#,
        r#"{"type":"connection_init","payload":{"authorization":"t"}}"#,
        r#"{"type":"connection_init","payload":{"authorization":["Bearer t"]}}"#,
        r#"{"type":"connection_init","payload":{"token":"Bearer t"}}"#,
    ] {
        assert_eq!(init(&mut fresh(), message), 4403, "{message}");
    }
    let mut pending = fresh();
    pending.handle(Input::Text(INIT));
    assert_eq!(init(&mut pending, INIT), 4429);
    let mut pending = fresh();
    pending.handle(Input::Text(INIT));
    assert_eq!(init(&mut pending, &subscribe("1")), 4401, "not before the acknowledgement");
    for (refusal, expected) in [(Code::Unauthenticated, 4403), (Code::Unavailable, 1013)] {
        let mut pending = fresh();
        pending.handle(Input::Text(INIT));
        assert_eq!(code(&pending.handle(Input::Authenticated(Err(refusal)))), expected);
    }
    let upper = r#"{"type":"connection_init","payload":{"Authorization":"bearer t"}}"#;
    assert_eq!(told(&fresh().handle(Input::Text(upper))), "authenticate t");
    assert_eq!(code(&ready().handle(Input::TokenExpired)), 4403);
    assert_eq!(code(&ready().handle(Input::Lagging { retry: Duration::ZERO })), 1013);
    let drained = told(&ready().handle(Input::Drain { retry: Duration::from_millis(1234) }));
    assert!(drained.starts_with("close 1001") && drained.contains("1234 ms"), "{drained}");
    assert_eq!(told(&ready().handle(Input::InitTimeout)), "", "the timer may ring late");
}

#[test]
fn pings_are_answered_with_their_payload() {
    for mut protocol in [fresh(), ready()] {
        let mut ask = |message: &str| told(&protocol.handle(Input::Text(message)));
        assert_eq!(ask(r#"{"type":"ping"}"#), r#"send {"type":"pong"}"#);
        assert_eq!(ask(r#"{"type":"ping","payload":null}"#), r#"send {"type":"pong"}"#);
        let payload = r#"{"b":1.50,"a":[12345678901234567890123]}"#;
        let echoed = format!(r#"send {{"type":"pong","payload":{payload}}}"#);
        assert_eq!(ask(&format!(r#"{{"payload":{payload},"type":"ping"}}"#)), echoed);
        assert_eq!(ask(r#"{"type":"pong","payload":{"a":1}}"#), "", "an unasked pong is fine");
    }
}

#[test]
fn a_silent_client_is_given_up() {
    let mut protocol = ready();
    assert_eq!(told(&protocol.handle(Input::PingDue)), "ping");
    assert_eq!(told(&protocol.handle(Input::PingDue)), "ping");
    protocol.handle(Input::Heard);
    assert_eq!(told(&protocol.handle(Input::PingDue)), "ping");
    assert_eq!(told(&protocol.handle(Input::PingDue)), "ping");
    assert_eq!(code(&protocol.handle(Input::PingDue)), 1001);
}

#[test]
fn an_operation_runs_to_its_end() {
    let mut protocol = ready();
    let one = start(&mut protocol, "a\"b");
    assert_eq!(&*one.head, r#"{"id":"a\"b","type":"next","payload":"#);
    let ended = told(&protocol.deliver(Delivery::End(one.clone(), None)));
    assert_eq!(ended, "send {\"id\":\"a\\\"b\",\"type\":\"complete\"}\nstop a\"b");
    assert_eq!(told(&protocol.deliver(Delivery::End(one, None))), "", "nothing after the end");

    let two = start(&mut protocol, "2");
    let error = Delivery::End(two.clone(), Some(ClientError::unavailable()));
    let ended = told(&protocol.deliver(error));
    assert!(ended.contains(r#""type":"error","payload":[{"extensions":{"code":"UNAVAILABLE"}"#), "{ended}");
    assert!(!ended.contains("complete"), "no complete after an error");
}

#[test]
fn a_result_is_next_and_complete_or_an_error() {
    let mut protocol = ready();
    let query = start(&mut protocol, "q");
    let answer = Answer { body: r#"{"data":{},"errors":[]}"#.into(), executed: true };
    let expected = "send {\"id\":\"q\",\"type\":\"next\",\"payload\":{\"data\":{},\"errors\":[]}}\n\
                    send {\"id\":\"q\",\"type\":\"complete\"}\nstop q";
    assert_eq!(told(&protocol.deliver(Delivery::Answer(query, answer))), expected);

    let query = start(&mut protocol, "q");
    let answer = Answer { body: r#"{"errors":[{"message":"m"}]}"#.into(), executed: false };
    let expected = "send {\"id\":\"q\",\"type\":\"error\",\"payload\":[{\"message\":\"m\"}]}\nstop q";
    assert_eq!(told(&protocol.deliver(Delivery::Answer(query, answer))), expected);

    for body in [&b"not JSON"[..], b"\xff"] {
        let mut protocol = ready();
        let query = start(&mut protocol, "q");
        let answer = Answer { body: Bytes::from_static(body), executed: false };
        assert_eq!(code(&protocol.deliver(Delivery::Answer(query, answer))), 4500);
    }
}

#[test]
fn ids_are_taken_until_their_end() {
    let mut protocol = ready();
    let old = start(&mut protocol, "1");
    assert_eq!(told(&protocol.handle(Input::Text(r#"{"type":"complete","id":"1"}"#))), "stop 1");
    assert_eq!(told(&protocol.handle(Input::Text(r#"{"type":"complete","id":"1"}"#))), "", "unknown ids are ignored");
    let new = start(&mut protocol, "1");
    let late = told(&protocol.deliver(Delivery::End(old, None)));
    assert_eq!(late, "", "a late result is not taken for the new operation's");
    assert_ne!(new.number, 1);
    let duplicate = told(&protocol.handle(Input::Text(&subscribe("1"))));
    assert_eq!(duplicate, "close 4409 Subscriber for 1 already exists");
}

#[test]
fn one_operation_too_many_is_refused_alone() {
    let mut protocol = ready();
    let first = start(&mut protocol, "1");
    start(&mut protocol, "2");
    let refused = told(&protocol.handle(Input::Text(&subscribe("3"))));
    assert!(refused.starts_with(r#"send {"id":"3","type":"error""#) && refused.contains("LIMIT_EXCEEDED"), "{refused}");
    assert_eq!(told(&protocol.handle(Input::Text(r#"{"type":"complete","id":"1"}"#))), "stop 1", "the others run on");
    assert_eq!(first.number, 1);
    start(&mut protocol, "3");
}

#[test]
fn a_drain_lets_out_what_is_queued_and_a_fault_does_not() {
    let mut protocol = ready();
    let one = start(&mut protocol, "1");
    protocol.handle(Input::Drain { retry: Duration::ZERO });
    assert_eq!(told(&protocol.handle(Input::Text(&subscribe("2")))), "", "nothing new is begun");
    assert_ne!(told(&protocol.deliver(Delivery::End(one, None))), "");
    let mut protocol = ready();
    let one = start(&mut protocol, "1");
    protocol.handle(Input::TokenExpired);
    assert_eq!(told(&protocol.deliver(Delivery::End(one, None))), "");
}

/// One thing that happens to a socket.
#[derive(Debug, Clone)]
enum Step {
    Text(String),
    End(usize, bool),
    Answer(usize, bool),
    Ping,
    Drain,
    Late,
}

fn message() -> impl Strategy<Value = String> {
    let id = || prop::sample::select(vec!["1", "2", "3"]);
    prop_oneof![
        8 => id().prop_map(subscribe),
        4 => id().prop_map(|id| json!({ "type": "complete", "id": id }).to_string()),
        1 => Just(r#"{"type":"ping","payload":{"a":1}}"#.to_owned()),
        1 => Just(r#"{"type":"pong"}"#.to_owned()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => message().prop_map(Step::Text),
        6 => (0..8_usize, any::<bool>()).prop_map(|(at, failed)| Step::End(at, failed)),
        4 => (0..8_usize, any::<bool>()).prop_map(|(at, executed)| Step::Answer(at, executed)),
        1 => Just(Step::Ping),
        1 => Just(Step::Late),
    ]
}

/// What a correct client believes: the ids in flight, and by which operation.
#[derive(Default)]
struct Model {
    live: HashMap<String, u64>,
    closed: bool,
}

impl Model {
    /// `cause` is the operation whose result led to these actions.
    fn check(&mut self, actions: &[Action], cause: Option<&Operation>) {
        for action in actions {
            assert!(!self.closed, "something after the close: {action:?}");
            match action {
                Action::Start(operation, _) => {
                    assert!(self.live.insert(operation.id.to_string(), operation.number).is_none());
                }
                Action::Close(_) => self.closed = true,
                Action::Send(text) => self.sent(&serde_json::from_str(text).expect("frames are JSON"), cause),
                _ => {}
            }
        }
    }

    fn sent(&mut self, frame: &Value, cause: Option<&Operation>) {
        let Some(id) = frame["id"].as_str() else { return };
        let Some(cause) = cause else {
            return assert_eq!(frame["type"], "error", "only a refusal comes without an operation");
        };
        assert_eq!(self.live.get(id), Some(&cause.number), "{frame} for an operation that is over");
        if frame["type"] != "next" {
            self.live.remove(id);
        }
    }
}

fn run(protocol: &mut Protocol, steps: &[Step]) {
    let (mut model, mut begun) = (Model::default(), Vec::<Operation>::new());
    for step in steps {
        let operation = match step {
            Step::End(at, _) | Step::Answer(at, _) => begun.iter().rev().nth(*at).cloned(),
            _ => None,
        };
        let actions = match (step, operation.clone()) {
            (Step::Text(text), _) => protocol.handle(Input::Text(text)),
            (Step::Ping, _) => protocol.handle(Input::PingDue),
            (Step::Late, _) => protocol.handle(Input::InitTimeout),
            (Step::Drain, _) => protocol.handle(Input::Drain { retry: Duration::ZERO }),
            (Step::End(_, failed), Some(one)) => {
                protocol.deliver(Delivery::End(one, failed.then(ClientError::unavailable)))
            }
            (Step::Answer(_, executed), Some(one)) => {
                protocol.deliver(Delivery::Answer(one, Answer { body: r#"{"errors":[]}"#.into(), executed: *executed }))
            }
            (_, None) => Vec::new(),
        };
        model.check(&actions, operation.as_ref());
        begun.extend(actions.iter().filter_map(|action| match action {
            Action::Start(operation, _) => Some(operation.clone()),
            _ => None,
        }));
        if let (Step::Text(text), false) = (step, model.closed) {
            forget(&mut model, text);
        }
    }
}

fn forget(model: &mut Model, text: &str) {
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    if message["type"] == "complete" {
        model.live.remove(message["id"].as_str().unwrap_or_default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_is_sent_for_an_operation_that_is_over(steps in prop::collection::vec(step(), 0..60)) {
        run(&mut ready(), &steps);
    }

    #[test]
    fn no_text_makes_it_panic(texts in prop::collection::vec("\\PC{0,60}|\\{\"type\":\"[a-z_]{4,15}\"(,\"id\":\"?[a-z0-9]{0,3}\"?)?(,\"payload\":[a-z0-9{}\":]{0,20})?\\}", 1..10)) {
        for mut protocol in [fresh(), ready()] {
            let steps: Vec<_> = texts.iter().cloned().map(Step::Text).collect();
            run(&mut protocol, &steps);
        }
    }

    #[test]
    fn a_drain_ends_everything_new(before in prop::collection::vec(step(), 0..20), after in prop::collection::vec(message(), 0..20)) {
        let mut protocol = ready();
        let mut steps = before;
        steps.push(Step::Drain);
        run(&mut protocol, &steps);
        for text in after {
            prop_assert!(protocol.handle(Input::Text(&text)).is_empty());
        }
    }
}

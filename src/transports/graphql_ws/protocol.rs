//! The state machine of one socket. It does no IO: what happened goes in, what to do comes out. Everything that is sent
//! passes through it, so it alone decides whether an operation's result still goes out.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json, value::RawValue};
use sluice_schema::{
    error::{ClientError, Code},
    ids::SubscriptionName,
    position::{Cursor, MalformedCursor},
};

use super::{
    super::{Answer, GraphqlRequest, bearer, websocket::Violation},
    close::Close,
    message::{self, ClientMessage, Progress},
};

/// One use of an operation id. An id may be used again once its operation has ended; the number tells the uses apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) number: u64,
    pub(super) id: Arc<str>,
    /// The start of each of its `next` messages.
    pub(super) head: Arc<str>,
}

/// What happened, other than results of operations.
#[derive(Debug)]
pub(super) enum Input<'a> {
    Text(&'a str),
    Binary,
    /// Bytes that are no message, or one past all bounds.
    Unreadable(Violation),
    /// A ping or pong of WebSocket's own.
    Heard,
    InitTimeout,
    /// The answer to [`Action::Authenticate`].
    Authenticated(Result<(), Code>),
    /// The same: it is known who the client is, and she has as many connections as she may, or begins too many operations.
    TooMany {
        retry: Duration,
    },
    /// The answer to [`Action::Renew`].
    Renewed(Renewal),
    TokenExpired,
    /// The socket was cut: nothing is sent any more, and nothing that comes is looked at.
    TokenRevoked,
    PingDue,
    /// The outgoing queue is over its bound; the client is to come back after `retry`.
    Lagging {
        retry: Duration,
    },
    /// The server is about to stop; the client is to come back after `retry`.
    Drain {
        retry: Duration,
    },
}

/// What came of a newer token.
#[derive(Debug)]
pub(super) enum Renewal {
    /// The client is known until then.
    Until(Timestamp),
    /// It is somebody else's, or for another purpose.
    Another,
    /// It does not hold, or that can't be told now. The older one is in force until its end.
    Refused(ClientError),
}

/// What comes out of an operation, beside the events of a subscription. It may be late: the operation may be over, and its id
/// used anew.
#[derive(Debug, Clone)]
pub(super) enum Delivery {
    /// The subscription is over.
    End(Operation, Option<ClientError>),
    /// The result of a query or mutation.
    Answer(Operation, Answer),
    /// It was not begun; GraphQL errors.
    Refused(Operation, Vec<Value>),
    /// Where the client was that goes by this name.
    Recalled(SubscriptionName, Result<Option<Cursor>, Code>),
    /// What the client acknowledged by a ping is durable, up to here.
    Acknowledged(Result<Cursor, ClientError>),
    Forgotten(Result<(), ClientError>),
}

/// What to do, in this order.
#[derive(Debug)]
pub(super) enum Action {
    Send(String),
    /// Send a ping with how far the engine is.
    Ping,
    /// With a token; for a client that goes by a name, [`Delivery::Recalled`] is to follow.
    Authenticate(String, Option<SubscriptionName>),
    /// The client has a newer token.
    Renew(String),
    /// The client is done with everything up to here; whether it is told when that is durable.
    Acknowledge(Cursor, bool),
    Forget,
    Start(Operation, GraphqlRequest),
    /// Its results are not wanted any more.
    Stop(Operation),
    Close(Close),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) message_bytes: usize,
    pub(super) operations: usize,
    pub(super) silent_intervals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Authenticating {
        /// It goes by a name: where it was is looked up as well.
        durable: bool,
    },
    Ready {
        durable: bool,
    },
    /// What is queued still goes out.
    Draining,
    Closed,
}

pub(super) struct Protocol {
    state: State,
    acknowledgement: Arc<str>,
    limits: Limits,
    /// The ids in use, each with its operation's number.
    operations: Vec<(Arc<str>, u64)>,
    last_number: u64,
    /// Whether a newer token is being checked.
    renewing: bool,
    heard: bool,
    silent_intervals: u32,
}

impl Protocol {
    /// `acknowledgement` is the `connection_ack` message.
    pub(super) fn new(limits: Limits, acknowledgement: Arc<str>) -> Self {
        Self {
            state: State::Waiting,
            acknowledgement,
            limits,
            operations: Vec::new(),
            last_number: 0,
            renewing: false,
            heard: true,
            silent_intervals: 0,
        }
    }

    pub(super) fn handle(&mut self, input: Input<'_>) -> Vec<Action> {
        if matches!(self.state, State::Draining | State::Closed) {
            return Vec::new();
        }
        match input {
            Input::Text(text) => self.text(text),
            Input::Binary => self.close(Close::invalid("it must be text, not binary")),
            Input::Unreadable(violation) => self.unreadable(violation),
            Input::Heard => self.heard(),
            Input::InitTimeout if self.state == State::Waiting => self.close(Close::init_timeout()),
            Input::InitTimeout => Vec::new(),
            Input::Authenticated(result) => self.authenticated(result),
            Input::TooMany { retry } => self.close(Close::too_many(retry)),
            Input::Renewed(renewal) => self.renewed(renewal),
            Input::TokenExpired => self.close(Close::expired()),
            Input::TokenRevoked => self.close(Close::revoked()),
            Input::PingDue => self.ping_due(),
            Input::Lagging { retry } => self.close(Close::lagging(retry)),
            Input::Drain { retry } => {
                self.state = State::Draining;
                vec![Action::Close(Close::going_away(retry))]
            }
        }
    }

    /// Turns a result into frames, unless its operation is over. Called when the frames can be sent at once: what waits
    /// in a queue meanwhile may still be cancelled.
    pub(super) fn deliver(&mut self, delivery: Delivery) -> Vec<Action> {
        if let Delivery::End(operation, _) | Delivery::Answer(operation, _) | Delivery::Refused(operation, _) =
            &delivery
            && self.number(&operation.id) != Some(operation.number)
        {
            return Vec::new();
        }
        match delivery {
            Delivery::Recalled(name, last) => self.recalled(&name, last),
            Delivery::Acknowledged(Ok(cursor)) => tell(&json!({ "acknowledged": cursor.to_string() })),
            Delivery::Forgotten(Ok(())) => tell(&json!({ "forgotten": true })),
            Delivery::Acknowledged(Err(error)) | Delivery::Forgotten(Err(error)) => refuse_to_tell(&error),
            Delivery::End(operation, None) => self.end(operation, None, message::complete),
            Delivery::End(operation, Some(error)) => self.refuse(operation, &Value::from(vec![error.to_graphql()])),
            Delivery::Answer(operation, answer) => self.answer(operation, &answer),
            Delivery::Refused(operation, errors) => self.refuse(operation, &Value::from(errors)),
        }
    }

    fn text(&mut self, text: &str) -> Vec<Action> {
        self.heard = true;
        if text.len() > self.limits.message_bytes {
            return self.close(Close::too_big(self.limits.message_bytes));
        }
        match message::parse(text) {
            Err(what) => self.close(Close::invalid(what)),
            Ok(ClientMessage::ConnectionInit { token, durable }) => self.init(token, durable),
            Ok(ClientMessage::Renew(token)) => self.renew(token),
            Ok(ClientMessage::Ping(payload, None)) => vec![Action::Send(message::pong(payload))],
            Ok(ClientMessage::Ping(_, Some(progress))) => match self.progress(&progress, true) {
                Ok(action) => vec![action],
                Err(error) => refuse_to_tell(&error),
            },
            // Nobody waits for what comes of it.
            Ok(ClientMessage::Pong(Some(progress @ Progress::Acknowledge(_)))) => {
                self.progress(&progress, false).into_iter().collect()
            }
            Ok(ClientMessage::Pong(_)) => Vec::new(),
            Ok(ClientMessage::Subscribe { id, request }) => self.subscribe(id.into(), request),
            Ok(ClientMessage::Complete { id }) => self.complete(id.into()),
        }
    }

    fn init(&mut self, token: Option<String>, durable: Option<SubscriptionName>) -> Vec<Action> {
        if self.state != State::Waiting {
            return self.close(Close::too_many_inits());
        }
        let Some(token) = token else { return self.close(Close::forbidden()) };
        self.state = State::Authenticating { durable: durable.is_some() };
        vec![Action::Authenticate(token, durable)]
    }

    fn authenticated(&mut self, result: Result<(), Code>) -> Vec<Action> {
        match result {
            _ if !matches!(self.state, State::Authenticating { .. }) => Vec::new(),
            Ok(()) if self.state == State::Authenticating { durable: true } => Vec::new(),
            Ok(()) => {
                self.state = State::Ready { durable: false };
                vec![Action::Send(self.acknowledgement.to_string())]
            }
            Err(Code::Unavailable) => self.close(Close::unavailable()),
            Err(_) => self.close(Close::forbidden()),
        }
    }

    fn recalled(&mut self, name: &SubscriptionName, last: Result<Option<Cursor>, Code>) -> Vec<Action> {
        match last {
            _ if !matches!(self.state, State::Authenticating { .. }) => Vec::new(),
            Ok(last) => {
                self.state = State::Ready { durable: true };
                let text = message::acknowledgement_of(&self.acknowledgement, name, last.as_ref());
                vec![Action::Send(text)]
            }
            Err(_) => self.close(Close::unavailable()),
        }
    }

    fn renew(&mut self, token: Option<String>) -> Vec<Action> {
        let Some(token) = token else { return refuse_to_tell(&bearer::missing()) };
        let text = match self.state {
            State::Ready { .. } if !self.renewing => {
                self.renewing = true;
                return vec![Action::Renew(token)];
            }
            State::Ready { .. } => "The token that you sent before is being checked: wait for the answer.",
            _ => "Only a connection that was acknowledged can be given a newer token.",
        };
        refuse_to_tell(&ClientError::new(Code::BadRequest, text))
    }

    fn renewed(&mut self, renewal: Renewal) -> Vec<Action> {
        self.renewing = false;
        match renewal {
            Renewal::Until(expires) => tell(&json!({ "renewed": { "expiresAt": expires.to_string() } })),
            Renewal::Another => self.close(Close::another()),
            Renewal::Refused(error) => refuse_to_tell(&error),
        }
    }

    /// `answer`: whether the client is told when what it acknowledges is durable.
    fn progress(&self, progress: &Progress, answer: bool) -> Result<Action, ClientError> {
        if self.state != (State::Ready { durable: true }) {
            let text = "Give yourself a name first: `durable` in the payload of connection_init.";
            return Err(ClientError::new(Code::BadRequest, text));
        }
        match progress {
            Progress::Forget => Ok(Action::Forget),
            Progress::Acknowledge(text) => match text.parse() {
                Ok(cursor) => Ok(Action::Acknowledge(cursor, answer)),
                Err(MalformedCursor) => Err(ClientError::new(Code::MalformedCursor, MalformedCursor.to_string())),
            },
        }
    }

    fn subscribe(&mut self, id: Arc<str>, request: GraphqlRequest) -> Vec<Action> {
        if !matches!(self.state, State::Ready { .. }) {
            return self.close(Close::unauthorized());
        }
        if self.number(&id).is_some() {
            return self.close(Close::duplicate(&id));
        }
        if self.operations.len() >= self.limits.operations {
            let text = format!("At most {} operations may be in flight: end one first.", self.limits.operations);
            let errors = Value::from(vec![ClientError::new(Code::LimitExceeded, text).to_graphql()]);
            return vec![Action::Send(message::error(&id, &errors.to_string()))];
        }
        self.last_number += 1;
        self.operations.push((Arc::clone(&id), self.last_number));
        let head = message::next_head(&id).into();
        vec![Action::Start(Operation { number: self.last_number, id, head }, request)]
    }

    /// Unknown ids are no error: the client's `complete` and ours may cross.
    fn complete(&mut self, id: Arc<str>) -> Vec<Action> {
        let Some(number) = self.release(&id) else { return Vec::new() };
        vec![Action::Stop(Operation { number, head: Arc::clone(&id), id })]
    }

    fn unreadable(&mut self, violation: Violation) -> Vec<Action> {
        self.close(match violation {
            Violation::TooBig => Close::too_big(self.limits.message_bytes),
            Violation::NotText => Close::not_text(),
            Violation::Protocol => Close::not_websocket(),
        })
    }

    fn heard(&mut self) -> Vec<Action> {
        self.heard = true;
        Vec::new()
    }

    fn ping_due(&mut self) -> Vec<Action> {
        self.silent_intervals = if std::mem::take(&mut self.heard) { 0 } else { self.silent_intervals + 1 };
        if self.silent_intervals >= self.limits.silent_intervals {
            return self.close(Close::silent());
        }
        if matches!(self.state, State::Ready { .. }) { vec![Action::Ping] } else { Vec::new() }
    }

    /// A request that did not get as far as execution is answered with `error`, any other with `next` and `complete`.
    fn answer(&mut self, operation: Operation, answer: &Answer) -> Vec<Action> {
        let Ok(body) = std::str::from_utf8(&answer.body) else { return self.close(Close::internal()) };
        if answer.executed {
            let next = message::next(&operation.head, body);
            return self.end(operation, Some(next), message::complete);
        }
        match serde_json::from_str::<NotExecuted<'_>>(body) {
            Ok(NotExecuted { errors }) => self.end(operation, None, |id| message::error(id, errors.get())),
            Err(_) => self.close(Close::internal()),
        }
    }

    fn refuse(&mut self, operation: Operation, errors: &Value) -> Vec<Action> {
        self.end(operation, None, |id| message::error(id, &errors.to_string()))
    }

    fn end(&mut self, operation: Operation, next: Option<String>, last: impl FnOnce(&str) -> String) -> Vec<Action> {
        self.release(&operation.id);
        let last = Action::Send(last(&operation.id));
        next.map(Action::Send).into_iter().chain([last, Action::Stop(operation)]).collect()
    }

    fn number(&self, id: &str) -> Option<u64> {
        self.operations.iter().find(|(other, _)| **other == *id).map(|(_, number)| *number)
    }

    fn release(&mut self, id: &str) -> Option<u64> {
        let place = self.operations.iter().position(|(other, _)| **other == *id)?;
        Some(self.operations.swap_remove(place).1)
    }

    fn close(&mut self, close: Close) -> Vec<Action> {
        self.state = State::Closed;
        self.operations.clear();
        vec![Action::Close(close)]
    }
}

fn tell(payload: &Value) -> Vec<Action> {
    vec![Action::Send(message::told(payload))]
}

fn refuse_to_tell(error: &ClientError) -> Vec<Action> {
    tell(&json!({ "errors": [error.to_graphql()] }))
}

/// The part of a GraphQL response that matters where nothing was executed.
#[derive(serde::Deserialize)]
struct NotExecuted<'a> {
    #[serde(borrow)]
    errors: &'a RawValue,
}

//! One client: its handshake, what it is told, and whether that is right.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{frame, sample, tally::Tally};

/// Who takes part, and what she subscribes to.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) channel: u32,
    /// Of the class; see [`sample::query`].
    pub(crate) class: u32,
    /// Empty where the server knows nobody.
    pub(crate) token: Arc<str>,
    pub(crate) what: What,
}

/// What she is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Check,
    /// What other services say of her coverage.
    Coverage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Upgrading,
    Greeting,
    Subscribed,
    Ended,
}

pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    pub(crate) seat: Seat,
    state: State,
    /// The beginning of a frame whose rest is still to come.
    rest: Vec<u8>,
    /// The last number that came.
    pub(crate) last: u64,
    shape: Option<Shape>,
    /// Where to go on; kept up to date only where it is wanted.
    pub(crate) cursor: String,
    pub(crate) follows: bool,
    /// Whether what it hears is counted apart.
    pub(crate) apart: bool,
}

/// Where the id stands in this client's messages, and what stands behind it: the same each time.
struct Shape {
    id_at: usize,
    behind: Box<[u8]>,
}

impl Conn {
    /// Connects, and asks for a WebSocket.
    pub(crate) fn open(address: SocketAddr, seat: Seat) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("connecting: {error}"))?;
        let mut conn = Self {
            stream,
            seat,
            state: State::Upgrading,
            rest: Vec::new(),
            last: 0,
            shape: None,
            cursor: String::new(),
            follows: false,
            apart: false,
        };
        let prepared = conn.stream.set_nodelay(true).and_then(|()| conn.stream.set_nonblocking(true));
        prepared.map_err(|error| error.to_string())?;
        let request = format!(
            "GET /graphql HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        );
        conn.send(request.as_bytes())?;
        Ok(conn)
    }

    /// The same client, on a new connection, behind what it has.
    pub(crate) fn resumed(&self, address: SocketAddr) -> Result<Self, String> {
        let conn = Self::open(address, self.seat.clone())?;
        Ok(Self { last: self.last, cursor: self.cursor.clone(), follows: true, apart: self.apart, ..conn })
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.state == State::Subscribed
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Reads what is there, at most once through `buffer`, which all clients share.
    pub(crate) fn read(&mut self, buffer: &mut [u8], now: impl Fn() -> u64, tally: &mut Tally) -> Result<(), String> {
        let count = match self.stream.read(buffer) {
            Ok(0) => return self.end("the server closed the connection", tally),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return self.end(&error.to_string(), tally),
        };
        if self.rest.is_empty() {
            let taken = self.take(&buffer[..count], now(), tally)?;
            self.rest.extend_from_slice(&buffer[taken..count]);
        } else {
            let mut bytes = std::mem::take(&mut self.rest);
            bytes.extend_from_slice(&buffer[..count]);
            let taken = self.take(&bytes, now(), tally)?;
            self.rest.extend_from_slice(&bytes[taken..]);
        }
        Ok(())
    }

    fn end(&mut self, why: &str, tally: &mut Tally) -> Result<(), String> {
        self.state = State::Ended;
        tally.ended += 1;
        tally.complain(why);
        Ok(())
    }

    /// How many of the bytes were whole messages.
    fn take(&mut self, bytes: &[u8], now: u64, tally: &mut Tally) -> Result<usize, String> {
        let mut taken = 0;
        if self.state == State::Upgrading {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(0) };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                return Err(format!("no upgrade: {}", String::from_utf8_lossy(bytes)));
            }
            taken = end + 4;
            self.greet()?;
        }
        while let Some(frame) = frame::read(&bytes[taken..]) {
            match frame.opcode {
                frame::TEXT => self.hear(frame.payload, now, tally)?,
                frame::PING => self.send(&frame::of_client(frame::PONG, frame.payload))?,
                frame::CLOSE => {
                    let reason = frame.payload.get(2..).unwrap_or_default();
                    self.end(&format!("closed: {}", String::from_utf8_lossy(reason)), tally)?;
                }
                _ => {}
            }
            taken += frame.length;
        }
        Ok(taken)
    }

    fn greet(&mut self) -> Result<(), String> {
        self.state = State::Greeting;
        let payload = match &*self.seat.token {
            "" => json!({}),
            token => json!({ "authorization": format!("Bearer {token}") }),
        };
        self.say(&json!({ "type": "connection_init", "payload": payload }))
    }

    fn subscribe(&mut self) -> Result<(), String> {
        self.state = State::Subscribed;
        let mut variables = json!({ "channel": sample::pattern(self.seat.channel) });
        let resumes = !self.cursor.is_empty();
        if resumes {
            variables["after"] = json!(self.cursor);
        }
        let query = match self.seat.what {
            What::Check => sample::query(self.seat.class, resumes),
            What::Coverage => sample::COVERAGE_QUERY.to_owned(),
        };
        let payload = json!({ "query": query, "variables": variables });
        self.say(&json!({ "id": "1", "type": "subscribe", "payload": payload }))
    }

    fn hear(&mut self, message: &[u8], now: u64, tally: &mut Tally) -> Result<(), String> {
        if let Some((seq, due)) = self.read_event(message) {
            tally.arrived(due, now, message.len());
            self.check_order(seq, tally);
            if self.follows {
                self.note_cursor(message);
            }
            return Ok(());
        }
        let text = String::from_utf8_lossy(message);
        let value: Value = serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))?;
        match value["type"].as_str() {
            Some("connection_ack") => self.subscribe(),
            Some("ping") => {
                tally.pings += 1;
                self.say(&json!({ "type": "pong" }))
            }
            Some("pong") => Ok(()),
            Some("next") => {
                tally.wrong += 1;
                tally.complain(&text);
                Ok(())
            }
            _ => Err(format!("the server said {text}")),
        }
    }

    /// Number and due time, where the message is what it was the time before but for the id.
    fn read_event(&mut self, message: &[u8]) -> Option<(u64, u64)> {
        if self.shape.is_none() {
            self.shape = Some(Shape::of(message, &self.seat)?);
        }
        let shape = self.shape.as_ref()?;
        let behind_at = shape.id_at + sample::ID_LENGTH;
        let behind = message.get(behind_at..behind_at + shape.behind.len())?;
        (*behind == *shape.behind).then(|| sample::read_check_id(&message[shape.id_at..]))?
    }

    fn check_order(&mut self, seq: u64, tally: &mut Tally) {
        // Whatever was before the first one is none of its business.
        if self.last > 0 && seq > self.last + 1 {
            tally.lost += seq - self.last - 1;
        }
        if seq <= self.last {
            tally.repeated += 1;
        }
        self.last = self.last.max(seq);
    }

    fn note_cursor(&mut self, message: &[u8]) {
        const BEFORE: &[u8] = b"\"cursor\":\"";
        let Some(at) = message.windows(BEFORE.len()).rposition(|window| window == BEFORE) else { return };
        let cursor = message[at + BEFORE.len()..].split(|byte| *byte == b'"').next();
        if let Some(cursor) = cursor.and_then(|cursor| std::str::from_utf8(cursor).ok()) {
            self.cursor.clear();
            self.cursor.push_str(cursor);
        }
    }

    fn say(&mut self, message: &Value) -> Result<(), String> {
        self.send(&frame::of_client(frame::TEXT, message.to_string().as_bytes()))
    }

    /// Small, and the kernel has room: nobody waits long.
    fn send(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(format!("sending: {error}")),
            }
        }
        Ok(())
    }
}

impl Shape {
    /// Of the first message, which is looked at in full.
    fn of(message: &[u8], seat: &Seat) -> Option<Self> {
        let value: Value = serde_json::from_slice(message).ok().filter(|value: &Value| value["type"] == "next")?;
        let payload = &value["payload"]["data"]["events"]["payload"];
        let told = match seat.what {
            What::Check => &payload["after"],
            What::Coverage => payload,
        };
        let expected = expected(seat, told);
        if *told != expected {
            return None;
        }
        let id_at = message.windows(4).position(|window| window == b"\"ec-")? + 1;
        let behind = &message[id_at + sample::ID_LENGTH..];
        const EXTENSIONS: &[u8] = b"\"extensions\"";
        let end = behind.windows(EXTENSIONS.len()).position(|window| window == EXTENSIONS);
        Some(Self { id_at, behind: behind[..end.unwrap_or(behind.len())].into() })
    }
}

/// What the first message has to tell, whatever its id is.
fn expected(seat: &Seat, told: &Value) -> Value {
    let (member, [amount, remaining]) = (sample::member(seat.channel), sample::DEDUCTIBLE);
    match seat.what {
        What::Check => json!({
            "id": told["id"],
            "memberId": member,
            format!("s{}", seat.class): "ANSWERED",
            "payerId": sample::PAYER,
            "completedAt": sample::COMPLETED,
            "coverage": {
                "active": true, "planName": sample::PLAN, "deductibles": [{ "amount": amount, "remaining": remaining }],
            },
        }),
        What::Coverage => json!({
            "coverageId": told["coverageId"],
            "memberId": member,
            "status": "TERMINATED",
            "planName": sample::PLAN,
            "terminationDate": sample::TERMINATION,
        }),
    }
}

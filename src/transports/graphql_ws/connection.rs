//! The task of one socket: it carries between the wire, the state machine and the operations. Events pass it by: they go
//! from the engine through the [`Outbox`] to the socket.

mod wire;

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use sluice_schema::{error::ClientError, ids::SubscriptionName, viewer::Viewer};
use sluice_subscriptions::{
    audit::EndReason,
    revocations::{Cut, Session},
};
use tokio::{
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use self::wire::Wire;
use super::{
    super::{router::Context, viewers::Held, websocket::Received},
    checking::{Checked, Checking, Purpose},
    close::Close,
    durable::Durable,
    operations::Operations,
    outbox::{Outbox, Outgoing, Status},
    protocol::{Action, Input, Limits, Protocol, Renewal},
    timers::Timers,
};

/// Drives a socket from the upgrade to its end. `agreed`: on the subprotocol. `early`: what the client has sent already.
///
/// `room`: what it takes up until its viewer is known.
pub(super) async fn run(
    socket: TcpStream,
    early: Vec<u8>,
    agreed: bool,
    room: OwnedSemaphorePermit,
    context: Arc<Context>,
) {
    let socket = Arc::new(socket);
    let wire = Wire::new(socket.clone(), &context);
    let mut connection = Connection::new(socket, context);
    connection.room = Some(Room::Unauthenticated(room));
    if !agreed {
        connection.outbox.close(&Close::subprotocol());
    }
    let mut task = Task { wire, connection };
    task.take(early);
    task.run().await;
}

struct Task {
    wire: Wire,
    connection: Connection,
}

impl Task {
    /// What came with the handshake. It is gone with this call: its buffer has room for 16 KiB, which a connection must not
    /// hold for as long as it lives.
    fn take(&mut self, mut early: Vec<u8>) {
        self.wire.take(&mut early, &mut self.connection);
    }

    async fn run(mut self) {
        if self.serve().await == End::Gone {
            return;
        }
        self.connection.operations.end(EndReason::ConnectionClosed);
        let timeout = self.connection.context.config.close_timeout;
        if timeout_at(Instant::now() + timeout, self.send_rest()).await != Ok(End::Closing) {
            return;
        }
        // Past the time the socket is dropped, whatever the client does.
        let _ = timeout_at(Instant::now() + timeout, self.linger()).await;
    }

    /// Until the client is gone, or nothing more is to be queued.
    async fn serve(&mut self) -> End {
        let Self { wire, connection } = self;
        let context = connection.context.clone();
        let mut drained = pin!(context.drain.cancelled());
        let mut draining = false;
        let mut timers = Timers::new(&context.config);
        loop {
            let blocked = match connection.outbox.status() {
                Status::Open { blocked } => blocked,
                Status::Overflown => {
                    connection.handle(Input::Lagging { retry: context.config.jittered_retry() });
                    continue;
                }
                Status::Closing { .. } | Status::Closed => return End::Closing,
                Status::Broken => return End::Gone,
            };
            if let Some(viewer) = &connection.viewer {
                timers.acknowledged(viewer.expires.at());
            }
            tokio::select! {
                () = wire.ready(blocked, &connection.outbox) => {
                    if wire.read(connection).is_break() {
                        return End::Gone;
                    }
                }
                () = connection.outbox.work() => connection.settle(),
                checked = Checking::done(&mut connection.checking) => connection.checked(checked),
                input = timers.due() => connection.handle(input),
                () = &mut drained, if !draining => {
                    draining = true;
                    connection.handle(Input::Drain { retry: context.config.jittered_retry() });
                }
            }
        }
    }

    /// Until the close frame has left; the client may send on meanwhile.
    async fn send_rest(&mut self) -> End {
        let Self { wire, connection } = self;
        loop {
            let blocked = match connection.outbox.status() {
                Status::Closing { blocked } => blocked,
                Status::Closed => return End::Closing,
                Status::Open { .. } | Status::Overflown | Status::Broken => return End::Gone,
            };
            tokio::select! {
                () = wire.ready(blocked, &connection.outbox) => {
                    if wire.read(connection).is_break() {
                        return End::Gone;
                    }
                }
                () = connection.outbox.work() => connection.settle(),
            }
        }
    }

    /// Keeps the socket until the client has seen the close frame: one that is dropped with unread bytes is reset, and what
    /// was sent may be lost with it.
    async fn linger(&mut self) {
        let Self { wire, connection } = self;
        while !connection.said_goodbye {
            wire.ready(false, &connection.outbox).await;
            if wire.read(connection).is_break() {
                return;
            }
        }
    }
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There is nobody to say goodbye to.
    Gone,
    Closing,
}

/// What a connection is counted as.
enum Room {
    Unauthenticated(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit),
    Viewer(#[expect(dead_code, reason = "it is held")] Held),
}

struct Connection {
    context: Arc<Context>,
    protocol: Protocol,
    outbox: Arc<Outbox>,
    operations: Arc<Operations>,
    viewer: Option<Arc<Viewer>>,
    room: Option<Room>,
    checking: Option<Checking>,
    durable: Option<Arc<Durable>>,
    /// There once the client is known.
    session: Option<Session>,
    /// Whether the client has sent its close frame.
    said_goodbye: bool,
}

/// The end of a socket whose token was revoked, from whichever thread. Its task only follows.
struct Cutter {
    outbox: Arc<Outbox>,
    operations: Arc<Operations>,
}

impl Cut for Cutter {
    fn cut(&self) {
        // First, so that it is they who say why.
        self.operations.end(EndReason::TokenRevoked);
        self.outbox.cut(&Close::revoked());
    }
}

impl Drop for Connection {
    /// However its task ended.
    fn drop(&mut self) {
        self.operations.end(EndReason::ConnectionClosed);
        self.outbox.abandon();
    }
}

impl Connection {
    fn new(socket: Arc<TcpStream>, context: Arc<Context>) -> Self {
        let config = &context.config;
        let limits = Limits {
            message_bytes: config.max_message_bytes,
            operations: config.max_operations,
            silent_intervals: config.max_silent_intervals,
        };
        let outbox = Arc::new(Outbox::new(config.max_queued_bytes, context.budget.clone(), socket));
        Self {
            protocol: Protocol::new(limits, context.ack.clone()),
            operations: Arc::new(Operations::new(&context, outbox.clone())),
            outbox,
            viewer: None,
            room: None,
            checking: None,
            durable: None,
            session: None,
            said_goodbye: false,
            context,
        }
    }

    fn received(&mut self, received: Received<'_>) {
        match received {
            Received::Text(text) => self.handle(Input::Text(text)),
            Received::Binary(_) => self.handle(Input::Binary),
            Received::Ping(payload) => {
                // What cannot be queued is dropped: the queue itself says that it is full.
                let _ = self.outbox.push(Outgoing::Pong(Bytes::copy_from_slice(payload)));
                self.handle(Input::Heard);
            }
            Received::Pong => self.handle(Input::Heard),
            Received::Close(payload) => {
                self.said_goodbye = true;
                self.outbox.answer_close(payload);
            }
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let is_revoked = self.session.as_ref().is_some_and(Session::is_revoked);
        let input = if is_revoked { Input::TokenRevoked } else { input };
        let actions = self.protocol.handle(input);
        actions.into_iter().for_each(|action| self.act(action));
        self.outbox.flush();
    }

    /// Sends what only the state machine can make of results.
    fn settle(&mut self) {
        let Self { protocol, outbox, .. } = self;
        let actions = outbox.settle(|delivery| protocol.deliver(delivery));
        actions.into_iter().for_each(|action| self.act(action));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(text) => drop(self.outbox.push(Outgoing::Text(text))),
            Action::Ping => {
                let progress = self.context.gate.progress();
                let reached = self.operations.reached(&progress);
                let _ = self.outbox.push_ping(reached.as_deref().map(|operations| (&progress, operations)));
            }
            Action::Authenticate(token, durable) => self.check(token, Purpose::Init(durable)),
            Action::Renew(token) => self.renew(token),
            Action::Start(operation, request) => {
                let viewer = self.viewer.clone().expect("the state machine starts nothing before authentication");
                self.operations.start(viewer, self.durable.clone(), operation, request);
            }
            Action::Acknowledge(cursor, answer) => {
                self.durable.iter().for_each(|durable| durable.acknowledge(cursor.clone(), answer));
            }
            Action::Forget => self.durable.iter().for_each(Durable::forget),
            Action::Stop(operation) => self.operations.stop(&operation),
            Action::Close(close) => {
                tracing::debug!(code = close.code, "closing a socket");
                self.operations.end(close.why);
                self.outbox.close(&close);
            }
        }
    }

    fn check(&mut self, token: String, purpose: Purpose) {
        let mut checking = Checking::begin(&self.context.gate, token, purpose);
        match checking.at_once() {
            Some(checked) => self.checked(checked),
            None => self.checking = Some(checking),
        }
    }

    /// To check a token takes as much as to begin an operation.
    fn renew(&mut self, token: String) {
        let begun = self.viewer.as_deref().map_or(Ok(()), |viewer| self.context.viewers.begin(viewer));
        match begun {
            Ok(()) => self.check(token, Purpose::Renewal),
            Err(busy) => self.handle(Input::Renewed(Renewal::Refused(busy.error))),
        }
    }

    fn checked(&mut self, (purpose, verdict): Checked) {
        match purpose {
            Purpose::Init(durable) => self.authenticated(verdict, durable),
            Purpose::Renewal => self.renewed(verdict),
        }
    }

    fn authenticated(&mut self, verdict: Result<Viewer, ClientError>, durable: Option<SubscriptionName>) {
        if let Ok(viewer) = &verdict {
            let viewers = &self.context.viewers;
            match viewers.begin(viewer).and_then(|()| viewers.connect(viewer)) {
                Ok(held) => self.room = Some(Room::Viewer(held)),
                Err(_) => return self.handle(Input::TooMany { retry: self.context.config.jittered_retry() }),
            }
        }
        let result = verdict.map(Arc::new).and_then(|viewer| {
            self.session = Some(self.admit(&viewer)?);
            self.viewer = Some(viewer.clone());
            self.durable = durable.map(|name| Durable::recall(&self.context, self.outbox.clone(), viewer, name));
            Ok(())
        });
        self.handle(Input::Authenticated(result.map_err(|error| error.code)));
    }

    /// Who somebody is never changes on a live socket: all that runs there was begun by the one who opened it.
    fn renewed(&mut self, verdict: Result<Viewer, ClientError>) {
        let renewal = match (verdict, self.viewer.clone()) {
            (Ok(newer), Some(viewer)) if viewer.is_same(&newer) => self.goes_on_by(&viewer, newer),
            (Ok(_), _) => Renewal::Another,
            (Err(error), _) => Renewal::Refused(error),
        };
        self.handle(Input::Renewed(renewal));
    }

    /// From now on it is the newer token whose end and whose revocation end the socket.
    fn goes_on_by(&mut self, viewer: &Viewer, newer: Viewer) -> Renewal {
        let until = newer.expires.at();
        match self.admit(&Arc::new(newer)) {
            Ok(session) => {
                viewer.expires.renew(until);
                self.session = Some(session);
                Renewal::Until(until)
            }
            Err(error) => Renewal::Refused(error),
        }
    }

    fn admit(&self, viewer: &Arc<Viewer>) -> Result<Session, ClientError> {
        let cutter = Cutter { outbox: self.outbox.clone(), operations: self.operations.clone() };
        self.context.gate.admit(viewer, Arc::new(cutter))
    }
}

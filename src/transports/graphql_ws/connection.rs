//! The task of one socket: it carries between the wire, the state machine and the operations.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{Sink, SinkExt, Stream, StreamExt, future::pending};
use sluice_schema::viewer::Viewer;
use tokio::time::{sleep, timeout};

use super::{
    super::router::Context,
    close::Close,
    operations::Operations,
    outbox::{Outbox, Outgoing},
    protocol::{Action, Delivery, Input, Limits, Protocol},
    timers::Timers,
};

/// Drives a socket from the upgrade to its end.
pub(super) async fn run(socket: WebSocket, context: Arc<Context>) {
    let agreed = socket.protocol().is_some();
    let (mut sink, mut stream) = socket.split();
    let connection = Connection::new(context);
    if !agreed {
        connection.outbox.close(Close::subprotocol());
    }
    let closed_by_us = tokio::select! {
        // An error means that there is nobody to say goodbye to.
        written = connection.write(&mut sink) => written.is_ok(),
        () = connection.read(&mut stream) => false,
        () = connection.overdue() => false,
    };
    connection.operations.stop_all();
    if closed_by_us {
        connection.linger(&mut stream).await;
    }
}

struct Connection {
    context: Arc<Context>,
    protocol: Mutex<Protocol>,
    outbox: Arc<Outbox>,
    operations: Arc<Operations>,
    viewer: OnceLock<Arc<Viewer>>,
    /// Whether reading is over, because of bytes that are no message.
    unreadable: AtomicBool,
}

impl Connection {
    fn new(context: Arc<Context>) -> Self {
        let config = &context.config;
        let limits = Limits {
            message_bytes: config.max_message_bytes,
            operations: config.max_operations,
            silent_intervals: config.max_silent_intervals,
        };
        let outbox = Arc::new(Outbox::new(config.max_queued_bytes));
        Self {
            protocol: Mutex::new(Protocol::new(limits, context.ack.clone())),
            operations: Arc::new(Operations::new(&context, Arc::clone(&outbox))),
            outbox,
            viewer: OnceLock::new(),
            unreadable: AtomicBool::new(false),
            context,
        }
    }

    /// Sends what is queued, to the close frame. While this waits for the client, [`Self::read`] goes on.
    async fn write<S: Sink<Message> + Unpin>(&self, sink: &mut S) -> Result<(), S::Error> {
        loop {
            match self.outbox.pop() {
                Some(Outgoing::Frame(text)) => sink.feed(Message::Text(text.into())).await?,
                Some(Outgoing::Delivery(delivery)) => self.deliver(delivery, sink).await?,
                Some(Outgoing::Close(close)) => return sink.send(Message::Close(Some(frame(&close)))).await,
                None => {
                    sink.flush().await?;
                    self.outbox.ready().await;
                }
            }
        }
    }

    async fn deliver<S: Sink<Message> + Unpin>(&self, delivery: Delivery, sink: &mut S) -> Result<(), S::Error> {
        let actions = self.protocol.lock().unwrap_or_else(PoisonError::into_inner).deliver(delivery);
        for action in actions {
            match action {
                Action::Send(text) => sink.feed(Message::Text(text.into())).await?,
                other => self.act(other),
            }
        }
        Ok(())
    }

    /// Reads until the client is gone.
    async fn read<S: Stream<Item = Result<Message, axum::Error>> + Unpin>(&self, stream: &mut S) {
        let mut drained = pin!(self.context.drain.cancelled());
        let mut draining = false;
        let mut timers = Timers::new(&self.context.config);
        loop {
            if let Some(viewer) = self.viewer.get() {
                timers.acknowledged(viewer.expires);
            }
            tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(message)) => self.received(&message),
                    Some(Err(_)) => {
                        // The stream is of no use any more, but the close frame may still get through.
                        self.unreadable.store(true, Ordering::Relaxed);
                        self.handle(Input::Unreadable);
                        pending::<()>().await;
                    }
                    None => return,
                },
                input = timers.due() => self.handle(input),
                () = self.outbox.overflown() => self.handle(Input::Lagging),
                () = &mut drained, if !draining => {
                    draining = true;
                    self.handle(Input::Drain { retry: self.context.config.jittered_retry() });
                }
            }
        }
    }

    /// Resolves when the goodbye takes too long.
    async fn overdue(&self) {
        self.outbox.closing().await;
        sleep(self.context.config.close_timeout).await;
    }

    /// Keeps the socket until the client has seen the close frame: one that is dropped with unread bytes is reset, and
    /// what was sent may be lost with it.
    async fn linger<S: Stream<Item = Result<Message, axum::Error>> + Unpin>(&self, stream: &mut S) {
        let gone = async {
            while let Some(Ok(_)) = stream.next().await {}
            if self.unreadable.load(Ordering::Relaxed) {
                pending::<()>().await;
            }
        };
        // Past the time the socket is dropped, whatever the client does.
        let _ = timeout(self.context.config.close_timeout, gone).await;
    }

    fn received(&self, message: &Message) {
        match message {
            Message::Text(text) => self.handle(Input::Text(text.as_str())),
            Message::Binary(_) => self.handle(Input::Binary),
            Message::Ping(_) | Message::Pong(_) => self.handle(Input::Heard),
            // The stream ends when the handshake is over.
            Message::Close(_) => {}
        }
    }

    fn handle(&self, input: Input<'_>) {
        let actions = self.protocol.lock().unwrap_or_else(PoisonError::into_inner).handle(input);
        actions.into_iter().for_each(|action| self.act(action));
    }

    fn act(&self, action: Action) {
        match action {
            // What cannot be queued is dropped: the queue itself says that it is full.
            Action::Send(text) => drop(self.outbox.push(Outgoing::Frame(text))),
            Action::Ping => {
                let progress = self.context.gate.progress();
                let reached = self.operations.reached(&progress);
                let _ = self.outbox.push_ping(reached.as_deref().map(|operations| (&progress, operations)));
            }
            Action::Authenticate(token) => self.authenticate(&token),
            Action::Start(operation, request) => {
                let viewer = self.viewer.get().expect("the state machine starts nothing before authentication");
                self.operations.start(Arc::clone(viewer), operation, request);
            }
            Action::Stop(operation) => self.operations.stop(&operation),
            Action::Close(close) => {
                tracing::debug!(code = close.code, "closing a socket");
                self.operations.stop_all();
                self.outbox.close(close);
            }
        }
    }

    fn authenticate(&self, token: &str) {
        let result = self.context.gate.authenticate(token).map(|viewer| {
            self.viewer.get_or_init(|| Arc::new(viewer));
        });
        self.handle(Input::Authenticated(result.map_err(|error| error.code)));
    }
}

fn frame(close: &Close) -> CloseFrame {
    CloseFrame { code: close.code, reason: close.reason().into() }
}

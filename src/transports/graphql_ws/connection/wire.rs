//! The reading side of a socket.

use std::{cell::RefCell, io, ops::ControlFlow, sync::Arc};

use tokio::{io::Interest, net::TcpStream};

use super::{
    super::{
        super::{router::Context, websocket::Decoder},
        outbox::Outbox,
        protocol::Input,
    },
    Connection,
};

/// The largest message that is read at all, as a multiple of the largest that is allowed: between the two the client is
/// told how much it may send, past it that it is no good.
const READ_LIMIT: usize = 2;

/// How much is read at once.
const READ: usize = 16 * 1024;

thread_local! {
    /// Where it is read to, one for each thread.
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

pub(super) struct Wire {
    socket: Arc<TcpStream>,
    /// Absent once the client has sent bytes that are no message: what else it sends is passed over.
    decoder: Option<Decoder>,
}

impl Wire {
    pub(super) fn new(socket: Arc<TcpStream>, context: &Context) -> Self {
        let limit = context.config.max_message_bytes.saturating_mul(READ_LIMIT);
        Self { socket, decoder: Some(Decoder::new(limit)) }
    }

    /// Waits until there is something to read; meanwhile sends on when the socket takes more.
    pub(super) async fn ready(&self, blocked: bool, outbox: &Outbox) {
        let interest = if blocked { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        match self.socket.ready(interest).await {
            Ok(ready) if blocked && ready.is_writable() => outbox.unblock(),
            // An error shows when it is read.
            _ => {}
        }
    }

    /// Reads what there is. `Break`: the client is gone.
    pub(super) fn read(&mut self, connection: &mut Connection) -> ControlFlow<()> {
        READ_BUFFER.with_borrow_mut(|buffer| match self.socket.try_read(buffer) {
            Ok(0) => ControlFlow::Break(()),
            Ok(length) => {
                self.take(&mut buffer[..length], connection);
                ControlFlow::Continue(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    }

    pub(super) fn take(&mut self, bytes: &mut [u8], connection: &mut Connection) {
        let Some(decoder) = &mut self.decoder else { return };
        if let Err(violation) = decoder.decode(bytes, |received| connection.received(received)) {
            self.decoder = None;
            connection.handle(Input::Unreadable(violation));
        }
    }
}

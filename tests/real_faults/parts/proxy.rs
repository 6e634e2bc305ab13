//! A way to a part that can be cut.

use std::net::SocketAddr;

use futures_util::future::{Either, select};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// Passes bytes on, both ways, until it is cut.
pub(crate) struct Proxy {
    address: SocketAddr,
    open: watch::Sender<bool>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// To `host:port`.
    pub(crate) async fn to(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = watch::Sender::new(true);
        let task = tokio::spawn(serve(listener, upstream.to_owned(), open.subscribe()));
        Self { address, open, _task: AbortOnDropHandle::new(task) }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections break, and new ones are closed at once.
    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn serve(listener: TcpListener, upstream: String, open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        // Else it is dropped, and so closed.
        if *open.borrow() {
            connections.spawn(pass(client, upstream.clone(), open.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn pass(mut client: TcpStream, upstream: String, mut open: watch::Receiver<bool>) {
    let copied = Box::pin(async {
        let mut server = TcpStream::connect(&upstream).await?;
        copy_bidirectional(&mut client, &mut server).await
    });
    let cut = Box::pin(async { open.wait_for(|open| !open).await.map(|_| ()) });
    // However it ends, both connections end with it.
    let (Either::Left(_) | Either::Right(_)) = select(copied, cut).await;
}

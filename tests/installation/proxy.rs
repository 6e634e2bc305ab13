//! A way to a part that can be cut, or held up.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::future::{Either, select, try_join};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// Whatever passes takes so long.
    Slow(Duration),
    /// Connections stay, and nothing passes.
    Silent,
    /// Connections break, and new ones are closed at once.
    Cut,
}

/// Passes bytes on, both ways.
pub(crate) struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// To `host:port`.
    pub(crate) async fn to(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = watch::Sender::new(Way::Open);
        let task = tokio::spawn(serve(listener, upstream.to_owned(), way.subscribe()));
        Self { address, way, _task: AbortOnDropHandle::new(task) }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn serve(listener: TcpListener, upstream: String, way: watch::Receiver<Way>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        // Else it is dropped, and so closed.
        if *way.borrow() != Way::Cut {
            connections.spawn(pass(client, upstream.clone(), way.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn pass(client: TcpStream, upstream: String, mut way: watch::Receiver<Way>) {
    let (forth, back) = (way.clone(), way.clone());
    let copied = Box::pin(async {
        let server = TcpStream::connect(&upstream).await?;
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        try_join(copy(from_client, to_server, forth), copy(from_server, to_client, back)).await
    });
    let cut = Box::pin(async { way.wait_for(|way| *way == Way::Cut).await.map(|_| ()) });
    // However it ends, both connections end with it.
    let (Either::Left(_) | Either::Right(_)) = select(copied, cut).await;
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut way: watch::Receiver<Way>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        let way = way.wait_for(|way| *way != Way::Silent).await.map(|way| *way).map_err(io::Error::other)?;
        if let Way::Slow(time) = way {
            tokio::time::sleep(time).await;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

//! A way to PostgreSQL that loses what it is told to lose.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use sluice_adapters::postgres::{Postgres, PostgresOptions};
use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use super::{database::Database, frontend::Frontend};

/// Where a connection ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    /// The server is not asked any more.
    Before,
    /// The server is asked, and whatever it does, the connection ends.
    Behind,
    /// The server has done it, and its answer is lost.
    Answer,
}

/// Ends with its connections where it is dropped.
pub(super) struct Proxy {
    database: String,
    plan: Arc<Plan>,
    _task: AbortOnDropHandle<()>,
}

struct Plan {
    server: String,
    /// Each at the next statement that begins with the text.
    cuts: Mutex<VecDeque<(&'static str, Cut)>>,
    swallows: watch::Sender<bool>,
}

impl Proxy {
    pub(super) async fn to(database: &Database) -> Self {
        let options: PgConnectOptions = database.url().parse().unwrap();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let plan = Arc::new(Plan { server, cuts: Mutex::default(), swallows: watch::Sender::new(false) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = AbortOnDropHandle::new(tokio::spawn(accept(listener, plan.clone())));
        let user = options.get_username();
        let database = format!("{user}@{address}/{}", options.get_database().unwrap());
        Self { database, plan, _task: task }
    }

    /// The database, by this way. It reads what is said, so that nothing is encrypted.
    pub(super) async fn connect(&self, deadline: Duration) -> Postgres {
        let url = format!("postgres://{}?sslmode=disable", self.database);
        Postgres::connect(&PostgresOptions { url, max_connections: 4, deadline }).await.unwrap()
    }

    /// Ends the connection of the next statement that begins with `text`; called again, of the one after it.
    pub(super) fn cut(&self, text: &'static str, cut: Cut) {
        self.plan.cuts.lock().unwrap().push_back((text, cut));
    }

    /// All that was to be cut is cut.
    pub(super) fn has_cut(&self) -> bool {
        self.plan.cuts.lock().unwrap().is_empty()
    }

    /// From now on bytes of both sides vanish, and those of new connections too. A connection that has lost some stays open
    /// for the client and says nothing any more.
    pub(super) fn swallow(&self) {
        self.plan.swallows.send_replace(true);
    }

    pub(super) fn carry_again(&self) {
        self.plan.swallows.send_replace(false);
    }
}

impl Plan {
    fn cut_at(&self, statement: &str) -> Option<Cut> {
        let mut cuts = self.cuts.lock().unwrap();
        cuts.pop_front_if(|(text, _)| statement.trim_start().starts_with(*text)).map(|(_, cut)| cut)
    }

    fn swallows(&self) -> bool {
        *self.swallows.borrow()
    }
}

async fn accept(listener: TcpListener, plan: Arc<Plan>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let plan = plan.clone();
        // How a connection ends is for the two sides to say.
        connections.spawn(async move { carry(client, &plan).await.unwrap_or_default() });
    }
}

async fn carry(mut client: TcpStream, plan: &Plan) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = TcpStream::connect(&plan.server).await?;
    server.set_nodelay(true)?;
    let (mut frontend, mut said, mut answer) = (Frontend::default(), Vec::new(), Vec::new());
    loop {
        tokio::select! {
            read = client.read_buf(&mut said) => if read? == 0 { return Ok(()) },
            read = server.read_buf(&mut answer) => if read? == 0 { return Ok(()) },
        }
        if plan.swallows() {
            // Its keepalives would end it.
            drop(server);
            return stay_silent(client).await;
        }
        client.write_all(&answer).await?;
        answer.clear();
        while let Some(message) = frontend.next(&mut said) {
            let cut = frontend.runs(&message).and_then(|statement| plan.cut_at(&statement));
            if !matches!(cut, Some(Cut::Before)) {
                server.write_all(&message).await?;
            }
            match cut {
                None => {}
                Some(Cut::Before | Cut::Behind) => return Ok(()),
                // It answers in one piece, when all is done.
                Some(Cut::Answer) => return server.read_buf(&mut answer).await.map(drop),
            }
        }
    }
}

/// Takes what the client says, until it gives up.
async fn stay_silent(mut client: TcpStream) -> io::Result<()> {
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop)
}

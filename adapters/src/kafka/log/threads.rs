//! The log's threads: started together, and asked by channels.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::AtomicU64,
        mpsc::{self, Sender},
    },
    thread::{Builder, JoinHandle},
};

use sluice_schema::position::{Partition, ReadVector};
use sluice_subscriptions::log::LogError;
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{
    beginning::{self, Ask, Beginning},
    history::{self, History, Request},
    live,
    look::Look,
    shared::Shared,
};
use crate::kafka::OpenError;

/// Threads that read behind the window. A partition has one of them, so that those who read the same share it.
const READERS: Partition = 2;

pub(super) struct Threads {
    /// Empty once closed; then the threads come to the end of their channels.
    channels: Mutex<Option<Channels>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

struct Channels {
    asks: Sender<Ask>,
    readers: Vec<Sender<Request>>,
}

impl Threads {
    /// Answers when the heads are those of the topic.
    pub(super) async fn start(
        shared: &Arc<Shared>,
        fetches: &Arc<AtomicU64>,
        relayed: ReadVector,
    ) -> Result<Self, OpenError> {
        let mut handles = Vec::new();
        let beginning = Beginning::new(shared.clone(), Look::open(&shared.kafka, beginning::HABITS)?);
        let (asks, asked) = mpsc::channel();
        handles.push(spawn(shared, "kafka-beginning", move || beginning.run(&asked))?);
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let look = Look::open(&shared.kafka, history::HABITS)?;
            let history = History::new(shared.clone(), look, fetches.clone());
            let (requests, requested) = mpsc::channel();
            handles.push(spawn(shared, "kafka-history", move || history.run(&requested))?);
            readers.push(requests);
        }
        let (opened, outcome) = oneshot::channel();
        let follower = shared.clone();
        handles.push(spawn(shared, "kafka-live", move || live::run(follower, &relayed, opened))?);
        outcome.await.unwrap_or_else(|_| Err(unreachable(shared, "the thread that follows it has ended")))?;
        Ok(Self { channels: Mutex::new(Some(Channels { asks, readers })), handles: Mutex::new(handles) })
    }

    pub(super) fn ask(&self, ask: Ask) -> Result<(), LogError> {
        self.with_channels(|channels| channels.asks.send(ask).is_ok())
    }

    pub(super) fn read(&self, request: Request) -> Result<(), LogError> {
        let reader = usize::from(request.partition % READERS);
        self.with_channels(|channels| channels.readers[reader].send(request).is_ok())
    }

    fn with_channels(&self, send: impl FnOnce(&Channels) -> bool) -> Result<(), LogError> {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if channels.as_ref().is_some_and(send) {
            return Ok(());
        }
        Err(LogError::Unavailable("the log is closed".into()))
    }

    /// Lets the threads end, and waits for them.
    pub(super) async fn join(&self) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).take();
        let handles = std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner));
        let join = move || handles.into_iter().for_each(|handle| drop(handle.join()));
        // One that panicked has ended too.
        let _ = spawn_blocking(join).await;
    }
}

fn spawn(shared: &Shared, name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let failed = |error: io::Error| unreachable(shared, &format!("no thread can be started ({})", error.kind()));
    Builder::new().name(name.into()).spawn(run).map_err(failed)
}

fn unreachable(shared: &Shared, why: &str) -> OpenError {
    OpenError::Unreachable { brokers: shared.kafka.brokers.clone(), why: why.into() }
}

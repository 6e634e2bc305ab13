//! What has threads of its own, beside those that serve clients. Thousands of clients that come back at once, each with a token to
//! verify and a document to validate, keep the runtime busy for a while; what is live must not queue behind them, nor the writers
//! that it waits for.

use std::{io, thread};

use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

use crate::shutdown::Tasks;

const ENGINE: &str = "engine";

/// Runs the engine's shards, each on a thread, until the tasks are told to end. One that ends before is a task that has
/// failed.
///
/// # Errors
/// No thread or runtime can be had.
pub(super) fn start(shards: Vec<impl Future<Output = ()> + Send + 'static>, tasks: &Tasks) -> io::Result<()> {
    for (number, shard) in shards.into_iter().enumerate() {
        let ended = on_a_thread(number, shard)?;
        // An error: it panicked, and so does this, as a task of the runtime would.
        tasks.spawn(ENGINE, |_token| async move { ended.await.expect("a shard's thread ends by itself") });
    }
    Ok(())
}

fn on_a_thread(number: usize, shard: impl Future<Output = ()> + Send + 'static) -> io::Result<oneshot::Receiver<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (done, ended) = oneshot::channel();
    thread::Builder::new().name(format!("{ENGINE}-{number}")).spawn(move || {
        runtime.block_on(shard);
        // Nobody waits any more where the process is ending.
        let _ = done.send(());
    })?;
    Ok(ended)
}

/// The thread of the parts' own tasks: writers, readers, connections.
pub(super) struct PartsThread(Option<Runtime>);

impl PartsThread {
    /// # Errors
    /// No thread can be had.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("parts").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// What is spawned within runs there as well.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = self.0.as_ref().expect("only its end takes it");
        match runtime.spawn(work).await {
            Ok(done) => done,
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    }
}

impl Drop for PartsThread {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // What had to be written was: the parts are closed by then.
            runtime.shutdown_background();
        }
    }
}

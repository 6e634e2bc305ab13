//! The engine's shards, each on a thread of its own: thousands of clients that come back at once, each with a token to verify and a
//! document to validate, keep the runtime's threads busy, and what is live must not queue behind them.

use std::{io, thread};

use tokio::{runtime::Builder, sync::oneshot};

use crate::shutdown::Tasks;

/// Runs them until the tasks are told to end. One that ends before is a task that has failed.
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

const ENGINE: &str = "engine";

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

//! Background tasks by name, one signal to end them, and a drain that is awaited.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// The background tasks of one process.
///
/// A task runs until the token is cancelled. One that ends before, by itself or by a panic, is a fault: [`Tasks::failed`]
/// tells it, so that the process does not run on with a part missing.
#[derive(Debug)]
pub struct Tasks {
    token: CancellationToken,
    running: Mutex<Vec<Task>>,
    failed: watch::Sender<Option<&'static str>>,
}

#[derive(Debug)]
struct Task {
    name: &'static str,
    handle: JoinHandle<()>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { token: CancellationToken::new(), running: Mutex::default(), failed: watch::Sender::new(None) }
    }
}

impl Tasks {
    /// Cancelled when the drain begins.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a task, which must end soon after the token that it is given is cancelled.
    pub fn spawn<F>(&self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = task(self.token());
        let guard = EndGuard { name, token: self.token(), failed: self.failed.clone() };
        let handle = tokio::spawn(async move {
            let _guard = guard;
            work.await;
        });
        self.running().push(Task { name, handle });
    }

    /// Waits for a task to end before it was asked to; its name. Never returns where none does.
    pub async fn failed(&self) -> &'static str {
        let mut failed = self.failed.subscribe();
        match failed.wait_for(Option::is_some).await.map(|name| *name) {
            Ok(Some(name)) => name,
            // `self` keeps the sender alive.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Tells all tasks to end, and waits for them for `grace` in all. What has not ended by then is aborted; its names
    /// are logged and returned.
    pub async fn drain(&self, grace: Duration) -> Vec<&'static str> {
        self.token.cancel();
        let deadline = Instant::now() + grace;
        let tasks = std::mem::take(&mut *self.running());
        let mut unfinished = Vec::new();
        for mut task in tasks {
            if timeout_at(deadline, &mut task.handle).await.is_err() {
                task.handle.abort();
                tracing::warn!(task = task.name, grace_seconds = grace.as_secs(), "did not end in time; aborted");
                unfinished.push(task.name);
            }
        }
        unfinished
    }

    fn running(&self) -> MutexGuard<'_, Vec<Task>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs when its task ends, in whatever way.
struct EndGuard {
    name: &'static str,
    token: CancellationToken,
    failed: watch::Sender<Option<&'static str>>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        let panicked = std::thread::panicking();
        if panicked || !self.token.is_cancelled() {
            tracing::error!(task = self.name, panicked, "a background task ended before it was asked to");
            self.failed.send_if_modified(|first| first.replace(first.unwrap_or(self.name)).is_none());
        }
    }
}

/// SIGTERM and SIGINT, listened for from the moment this is made: a signal that comes before the wait is not lost.
#[derive(Debug)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// # Errors
    /// The operating system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first of them.
    pub async fn received(mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "shutting down");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    /// The task that failed, or none once everything has come to rest: the clock is paused, so that nothing waits here.
    async fn failed(tasks: &Tasks) -> Option<&'static str> {
        tokio::time::timeout(GRACE, tasks.failed()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_heed_the_token_end_without_waiting_out_the_grace() {
        let tasks = Tasks::default();
        tasks.spawn("relay", |token| async move { token.cancelled().await });
        let begun = Instant::now();
        assert_eq!(tasks.drain(GRACE).await, Vec::<&str>::new());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_may_use_the_grace_to_finish_its_work() {
        let tasks = Tasks::default();
        let (done, seen) = watch::channel(false);
        tasks.spawn("writer", |token| async move {
            token.cancelled().await;
            tokio::time::sleep(GRACE / 2).await;
            done.send_replace(true);
        });
        assert_eq!(tasks.drain(GRACE).await, Vec::<&str>::new());
        assert!(*seen.borrow(), "the drain waited for it");
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_is_bounded_and_shared_and_names_who_did_not_end() {
        let tasks = Tasks::default();
        tasks.spawn("stuck reader", |_| std::future::pending());
        tasks.spawn("good", |token| async move { token.cancelled().await });
        tasks.spawn("stuck writer", |_| std::future::pending());
        let begun = Instant::now();
        assert_eq!(tasks.drain(GRACE).await, ["stuck reader", "stuck writer"]);
        assert!(begun.elapsed() >= GRACE && begun.elapsed() < GRACE + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_unasked_is_told_by_name() {
        let tasks = Tasks::default();
        tasks.spawn("good", |token| async move { token.cancelled().await });
        tasks.spawn("process manager", |_| async {});
        assert_eq!(failed(&tasks).await, Some("process manager"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_told_and_does_not_hold_up_the_drain() {
        let tasks = Tasks::default();
        tasks.spawn("process manager", |_| async { panic!("on purpose") });
        assert_eq!(failed(&tasks).await, Some("process manager"));
        assert_eq!(tasks.drain(GRACE).await, Vec::<&str>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn an_ordered_end_is_no_failure() {
        let tasks = Tasks::default();
        tasks.spawn("good", |token| async move { token.cancelled().await });
        tasks.drain(GRACE).await;
        assert_eq!(failed(&tasks).await, None);
    }

    #[tokio::test]
    async fn a_signal_that_comes_before_the_wait_is_not_lost() {
        let signals = Signals::listen().unwrap();
        let sent = std::process::Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status();
        assert!(sent.unwrap().success());
        signals.received().await;
    }
}

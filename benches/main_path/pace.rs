//! An open loop: what is due is sent when it is due, whether or not earlier requests were answered.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::figures::Latencies;

/// Calls `send` at each due time, on a thread of its own: tokio's timers count in milliseconds, which is of the order of
/// what is measured. Gives how late the calls were.
pub(crate) async fn open_loop<F>(rate: u32, count: usize, mut send: F) -> Result<Latencies, String>
where
    F: FnMut(Instant) + Send + 'static,
{
    let run = move || {
        let interval = Duration::from_secs(1) / rate;
        let begin = Instant::now() + interval;
        let mut late = Latencies::default();
        for number in 0..count {
            let due = begin + interval * u32::try_from(number).unwrap_or(u32::MAX);
            wait_until(due);
            late.record(due.elapsed());
            send(due);
        }
        late
    };
    let joined = tokio::task::spawn_blocking(move || thread::spawn(run).join()).await;
    joined.ok().and_then(Result::ok).ok_or_else(|| "the load generator panicked".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the thread has nothing else to do, and no runtime")]
fn wait_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

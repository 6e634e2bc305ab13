//! Faults on demand, between the steps of a commit. Nothing without the cargo feature `failpoints`.
//!
//! `return` ends the process as a crash would, `pause` holds up the one writer that passes.

use tokio::sync::oneshot;

/// Passes a point. A pause blocks the thread that it happens on, so that thread is one of its own: neither another task
/// nor the end of the runtime waits for it.
pub(crate) async fn pass(name: &'static str) {
    if !fail::has_failpoints() {
        return;
    }
    let (passed, wait) = oneshot::channel();
    std::thread::spawn(move || {
        evaluate(name);
        // The writer may be gone with its runtime.
        let _ = passed.send(());
    });
    // An error is a panic that was asked for; it is the thread's own.
    let _ = wait.await;
}

fn evaluate(name: &'static str) {
    fail::fail_point!(name, |_| std::process::abort());
    // Without the feature the line above is nothing.
    let _ = name;
}

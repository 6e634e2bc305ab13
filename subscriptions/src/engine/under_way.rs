//! What has begun and is not over, by when it began: so that it can be waited for without holding up what begins later.

use std::sync::{Mutex, PoisonError};

use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

#[derive(Default)]
pub(super) struct UnderWay(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    current: TaskTracker,
    /// Which were waited for before, and may not be over yet.
    before: Vec<TaskTracker>,
}

impl UnderWay {
    /// Something begins; it is over when this is dropped.
    pub(super) fn begin(&self) -> TaskTrackerToken {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).current.token()
    }

    /// Waits until all that began before this call is over.
    pub(super) fn begun_before_now(&self) -> impl Future<Output = ()> + use<> {
        let generations = self.next_generation();
        async move {
            for generation in generations {
                generation.wait().await;
            }
        }
    }

    fn next_generation(&self) -> Vec<TaskTracker> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = std::mem::take(&mut generations.current);
        current.close();
        generations.before.retain(|generation| !generation.is_empty());
        generations.before.push(current);
        generations.before.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_began_before_is_waited_for_by_all_and_what_began_later_by_nobody() {
        let under_way = UnderWay::default();
        under_way.begun_before_now().await;
        let first = under_way.begin();
        let one = under_way.begun_before_now();
        let _second = under_way.begin();
        tokio::pin!(one);
        timeout(Duration::from_secs(1), one.as_mut()).await.expect_err("the first is under way");
        drop(first);
        timeout(Duration::from_secs(1), one).await.expect("the second began later");
        let _third = under_way.begin();
        timeout(Duration::from_secs(1), under_way.begun_before_now())
            .await
            .expect_err("the second is under way, for whoever asks now");
    }
}

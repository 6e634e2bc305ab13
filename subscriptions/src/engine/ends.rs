//! The ends of subscriptions, for the audit trail. Nobody waits for these records: they are queued, and a task of its own appends
//! as many as there are.

use std::{pin::pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Parts, subscription::Live};
use crate::audit::{Action, AuditRecord, EndReason};

/// How many are appended at once.
const TOGETHER: usize = 256;

/// How soon it is tried again while the trail is away. What waits meanwhile is bounded: nothing begins then that could end.
const AGAIN: Duration = Duration::from_secs(1);

/// Where ends are told; cheap to clone.
#[derive(Clone)]
pub(super) struct Ends(Arc<mpsc::UnboundedSender<AuditRecord>>);

impl Ends {
    pub(super) fn channel() -> (Self, mpsc::UnboundedReceiver<AuditRecord>) {
        let (ends, told) = mpsc::unbounded_channel();
        (Self(Arc::new(ends)), told)
    }

    pub(super) fn tell(&self, live: &Live, why: EndReason) {
        let (patient, channel) = (live.pattern.member(), live.pattern.to_string());
        let action = Action::End { recipient: live.recipient(), patient, channel, why };
        let record = AuditRecord { at: Timestamp::now(), tenant: live.viewer.tenant.clone(), action };
        // Without the task the process is about to end, and not in order.
        let _ = self.0.send(record);
    }
}

/// Appends what is told until shutdown, then what `owners` tell last.
pub(super) async fn record(
    parts: Parts,
    mut told: mpsc::UnboundedReceiver<AuditRecord>,
    owners: TaskTracker,
    shutdown: CancellationToken,
) {
    let mut over = pin!(async {
        shutdown.cancelled().await;
        owners.close();
        owners.wait().await;
    });
    let mut records = Vec::new();
    loop {
        tokio::select! {
            count = told.recv_many(&mut records, TOGETHER) => match count {
                0 => return,
                _ => append(&parts, std::mem::take(&mut records), &shutdown).await,
            },
            () = &mut over => break,
        }
    }
    while let Ok(record) = told.try_recv() {
        records.push(record);
    }
    append(&parts, records, &shutdown).await;
}

/// Until it works; once more after shutdown.
async fn append(parts: &Parts, records: Vec<AuditRecord>, shutdown: &CancellationToken) {
    loop {
        let last = shutdown.is_cancelled();
        let Err(why) = parts.audit(records.clone()).await else { return };
        if last {
            tracing::error!(why, records = records.len(), "the ends of some subscriptions are not in the audit trail");
            return;
        }
        tokio::select! {
            () = sleep(AGAIN) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

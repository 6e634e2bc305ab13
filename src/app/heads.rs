//! Signs from time to time where the audit trail is.

use std::{sync::Arc, time::Duration};

use sluice_adapters::audit_heads::{HeadSigner, Signed};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::{
    config::Config,
    health::{Condition, Health},
    shutdown::Tasks,
};

/// As `/readyz` names it.
const PART: &str = "audit heads";

/// What an operator is to expect meanwhile.
const AWAY: &str =
    "their file can't be written: events go on and are recorded, and what is cut off the trail now may go unnoticed";

/// The first head is there, and the last one comes when the parts are closed.
pub(super) fn start(parts: &Parts, config: &Config, health: &Arc<Health>, tasks: &Tasks) {
    let every = Duration::from_secs(config.audit.head_interval_seconds);
    let (signer, health) = (parts.heads(), health.clone());
    tasks.spawn("the audit heads", move |token| async move { keep_signing(&signer, every, &health, token).await });
}

async fn keep_signing(signer: &HeadSigner, every: Duration, health: &Health, shutdown: CancellationToken) {
    let mut again = interval_at(Instant::now() + every, every);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            _ = again.tick() => {}
            () = shutdown.cancelled() => return,
        }
        sign(signer, health, &mut failing).await;
    }
}

async fn sign(signer: &HeadSigner, health: &Health, failing: &mut bool) {
    match signer.sign().await {
        Ok(signed) => {
            note(signed);
            if std::mem::take(failing) {
                tracing::info!("audit heads are kept again");
                health.report(PART, Condition::Sound);
            }
        }
        Err(error) => {
            metrics::counter!("sluice_audit_heads_failed_total").increment(1);
            if !std::mem::replace(failing, true) {
                tracing::error!(%error, "an audit head could not be kept; it is tried again");
                health.report(PART, Condition::Degraded(AWAY.into()));
            }
        }
    }
}

fn note(signed: Signed) {
    match signed {
        Signed::Unchanged => return,
        Signed::Kept => {}
        Signed::OthersLost => {
            metrics::counter!("sluice_audit_heads_lost_total").increment(1);
            tracing::error!(
                "the file of audit heads has lost some that were kept in it: was it moved away, cut or replaced?"
            );
        }
    }
    metrics::counter!("sluice_audit_heads_total").increment(1);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Timestamp;
    use sluice_adapters::{
        audit_heads::SigningKey,
        sqlite::{DataDir, SqliteAudit},
    };
    use sluice_schema::viewer::PurposeOfUse;
    use sluice_subscriptions::audit::{Action, AuditRecord, AuditTrail, Recipient};

    use super::*;

    fn record() -> AuditRecord {
        let recipient = Recipient {
            user: "u-1".parse().unwrap(),
            actor: None,
            purpose: PurposeOfUse::Treatment,
            transport: "http".into(),
            seen: None,
        };
        let action = Action::Subscribe { recipient, patient: None, channel: "/members/*".into() };
        AuditRecord { at: Timestamp::now(), tenant: "acme".parse().unwrap(), action }
    }

    #[tokio::test]
    async fn while_heads_cant_be_kept_health_says_so_and_records_go_on() {
        let home = tempfile::tempdir().unwrap();
        let (key, file) = (home.path().join("key"), home.path().join("heads.jsonl"));
        let trail = SqliteAudit::open(&DataDir::open(home.path()).unwrap(), "node").await.unwrap();
        let signer = HeadSigner::begin(&file, SigningKey::open(&key).unwrap(), trail.end()).await.unwrap();
        let (health, mut failing) = (Health::default(), false);
        // Nothing can be added to a directory.
        fs::rename(&file, home.path().join("moved.jsonl")).unwrap();
        fs::create_dir(&file).unwrap();
        sign(&signer, &health, &mut failing).await;
        assert!(health.degraded().is_empty(), "nothing is to be signed");
        for _ in 0..2 {
            trail.append(vec![record()]).await.unwrap();
            sign(&signer, &health, &mut failing).await;
            assert_eq!(health.degraded(), [PART]);
        }
        fs::remove_dir(&file).unwrap();
        sign(&signer, &health, &mut failing).await;
        assert!(health.degraded().is_empty());
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1, "one covers both");
    }
}

//! Hearing that another node has revoked something. It only makes it quicker: who asks looks from time to time as well, and so notices
//! what was missed while there was no connection.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::sleep};

use crate::postgres::{Postgres, error::Failed};

const CHANNEL: &str = "sluice_revocations";

/// For within a transaction: it is heard with the commit.
pub(super) const NOTIFY: &str = "NOTIFY sluice_revocations";

const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);

/// For ever, over as many connections as it takes.
pub(super) async fn run(db: Postgres, stirred: Arc<Notify>) {
    loop {
        if let Err(why) = hear(&db, &stirred).await {
            tracing::debug!(%why, "what other nodes revoke is not heard of, only read from time to time");
        }
        sleep(BETWEEN_ATTEMPTS).await;
    }
}

/// Until the connection is lost.
async fn hear(db: &Postgres, stirred: &Notify) -> Result<(), Failed> {
    let mut listener = db.listener(db.connect_options().clone()).await?;
    db.within(listener.listen(CHANNEL)).await?;
    while listener.try_recv().await?.is_some() {
        stirred.notify_one();
    }
    Ok(())
}

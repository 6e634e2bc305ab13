//! A request or poll that was let in: it is answered only while its token counts.

use std::{future::Future, sync::Arc};

use sluice_schema::{error::ClientError, viewer::Viewer};
use sluice_subscriptions::revocations::Session;
use tokio_util::sync::CancellationToken;

use super::Gate;
use crate::auth::Refusal;

pub(super) struct Admitted {
    revoked: CancellationToken,
    _session: Session,
}

impl Admitted {
    /// # Errors
    /// As [`Gate::admit`].
    pub(super) fn by(gate: &dyn Gate, viewer: &Arc<Viewer>) -> Result<Self, ClientError> {
        let revoked = CancellationToken::new();
        let _session = gate.admit(viewer, Arc::new(revoked.clone()))?;
        Ok(Self { revoked, _session })
    }

    /// What comes of the work, if that is before its token is revoked.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`: it was revoked, and nothing of it may leave.
    pub(super) async fn unless_revoked<T>(self, work: impl Future<Output = T>) -> Result<T, ClientError> {
        tokio::select! {
            biased;
            () = self.revoked.cancelled() => Err(Refusal::Revoked.to_client()),
            done = work => Ok(done),
        }
    }
}

//! The beginning of a subscription: is its cursor one that can be honoured?

use std::sync::Arc;

use jiff::Timestamp;
use sluice_schema::{
    error::{ClientError, Code},
    position::{Cursor, MalformedCursor, ReadVector},
};

use super::{Engine, Handle, Shared, Start, Subscribe, ends::Ends, subscription::Live};
use crate::audit::{Action, AuditRecord};

impl Engine {
    /// Begins a subscription. Whether the viewer may see anything is decided for each event, not here.
    ///
    /// # Errors
    /// `CURSOR_EXPIRED`, `CURSOR_MALFORMED`, or `UNAVAILABLE` where it could not be audited.
    pub async fn subscribe(&self, subscribe: Subscribe) -> Result<Handle, ClientError> {
        self.begin(subscribe, Some(self.shared.ends.clone())).await
    }

    /// `ends`: where its end is told.
    pub(super) async fn begin(&self, subscribe: Subscribe, ends: Option<Ends>) -> Result<Handle, ClientError> {
        let (vector, state) = match &subscribe.start {
            Start::Live => (self.place(), None),
            Start::After(cursor) => (self.honour(cursor).await?, None),
            Start::Snapshot { from, state } => (from.clone(), state.clone()),
        };
        let projection = self.shared.projections.intern(subscribe.projection);
        let subscribe = Subscribe { projection, ..subscribe };
        let (patient, channel) = (subscribe.pattern.member(), subscribe.pattern.to_string());
        let live = Arc::new(Live::new(self.shared.next_id(), subscribe, vector.clone(), state.clone(), ends));
        self.audit(vec![AuditRecord {
            at: Timestamp::now(),
            tenant: live.viewer.tenant.clone(),
            action: Action::Subscribe { recipient: live.recipient(), patient, channel },
        }])
        .await?;
        self.shared.begin(live.clone(), vector, state);
        Ok(Handle::new(self.shared.clone(), live))
    }

    /// Appends to the audit trail, under the deadline.
    ///
    /// # Errors
    /// `UNAVAILABLE`: what the records tell of must not leave.
    pub async fn audit(&self, records: Vec<AuditRecord>) -> Result<(), ClientError> {
        self.shared.parts.audit(records).await.map_err(|why| {
            // Told once by what asks the trail, not for each who is refused.
            tracing::debug!(why, "the audit trail can't be written: nothing is shown");
            ClientError::unavailable()
        })
    }

    /// The place that a cursor names, if the log still reaches back to it.
    async fn honour(&self, cursor: &Cursor) -> Result<ReadVector, ClientError> {
        let earliest = self.earliest().await?;
        self.is_of_log(cursor).await?;
        if !cursor.vector.covers(&earliest) {
            return Err(self.shared.expired(&earliest, "RETENTION", "events behind it are no longer kept"));
        }
        Ok(cursor.vector.clone())
    }

    /// Whether a cursor is one of this log, however old.
    ///
    /// # Errors
    /// `CURSOR_EXPIRED`, `CURSOR_MALFORMED`, or `UNAVAILABLE`.
    pub async fn is_of_log(&self, cursor: &Cursor) -> Result<(), ClientError> {
        let log = &self.shared.parts.log;
        if cursor.epoch != log.epoch() {
            return Err(self.shared.expired(&self.earliest().await?, "EPOCH", "the log was made anew since"));
        }
        if cursor.vector.0.len() != usize::from(log.partitions()) {
            return Err(ClientError::new(Code::MalformedCursor, MalformedCursor.to_string()));
        }
        if !self.will_reach(&cursor.vector).await? {
            let why = "it lies ahead of the log, which must have been restored";
            return Err(self.shared.expired(&self.earliest().await?, "AHEAD", why));
        }
        Ok(())
    }

    async fn earliest(&self) -> Result<ReadVector, ClientError> {
        self.shared.parts.log.earliest().await.map_err(|error| {
            tracing::debug!(%error, "the log can't tell where it begins");
            ClientError::unavailable()
        })
    }

    /// Whether the log is at a place or on its way there: another node, or the answer to a mutation, may name a place that
    /// has not come here yet.
    async fn will_reach(&self, vector: &ReadVector) -> Result<bool, ClientError> {
        let log = &self.shared.parts.log;
        if log.heads().borrow().covers(vector) {
            return Ok(true);
        }
        let acknowledged = log.acknowledged().await.map_err(|error| {
            tracing::debug!(%error, "it can't be told how far the log will be");
            ClientError::unavailable()
        })?;
        Ok(acknowledged.covers(vector))
    }
}

impl Shared {
    /// The typed gap: what is missing, and where reading can begin.
    pub(super) fn expired(&self, earliest: &ReadVector, reason: &str, why: &str) -> ClientError {
        let message = format!(
            "This cursor can't be resumed: {why}. Read the current state, or begin at `extensions.earliest`, knowing that events are missing."
        );
        ClientError::new(Code::CursorExpired, message)
            .with("reason", reason)
            .with("earliest", self.cursor(earliest).to_string())
    }
}

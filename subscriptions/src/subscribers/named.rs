//! Named subscriptions over an engine: only cursors of its log are taken.

use std::sync::Arc;

use sluice_schema::{
    error::{ClientError, Code},
    ids::SubscriptionName,
    position::Cursor,
    viewer::Viewer,
};

use super::{Subscriber, SubscriberState, SubscribersError};
use crate::engine::Engine;

/// Where clients are that go by a name.
#[derive(Clone)]
pub struct Named {
    state: Arc<dyn SubscriberState>,
    engine: Engine,
}

impl Named {
    pub fn new(state: Arc<dyn SubscriberState>, engine: Engine) -> Self {
        Self { state, engine }
    }

    /// # Errors
    /// `UNAVAILABLE`.
    pub async fn last(&self, viewer: &Viewer, name: &SubscriptionName) -> Result<Option<Cursor>, ClientError> {
        self.state.last(&subscriber(viewer, name)).await.map_err(refused)
    }

    /// Answers when it is durable.
    ///
    /// # Errors
    /// `CURSOR_EXPIRED` or `CURSOR_MALFORMED` for a cursor that is none of this log, `LIMIT_EXCEEDED` for a name too many,
    /// `UNAVAILABLE`.
    pub async fn acknowledge(
        &self,
        viewer: &Viewer,
        name: &SubscriptionName,
        cursor: &Cursor,
    ) -> Result<(), ClientError> {
        // One that lies ahead would have events passed over that nobody has seen.
        self.engine.is_of_log(cursor).await?;
        self.state.acknowledge(&subscriber(viewer, name), cursor).await.map_err(refused)
    }

    /// # Errors
    /// `UNAVAILABLE`.
    pub async fn forget(&self, viewer: &Viewer, name: &SubscriptionName) -> Result<(), ClientError> {
        self.state.forget(&subscriber(viewer, name)).await.map_err(refused)
    }
}

fn subscriber(viewer: &Viewer, name: &SubscriptionName) -> Subscriber {
    Subscriber { tenant: viewer.tenant.clone(), user: viewer.user.clone(), name: name.clone() }
}

fn refused(error: SubscribersError) -> ClientError {
    match error {
        SubscribersError::TooManyNames => ClientError::new(Code::LimitExceeded, format!("Too many names: {error}.")),
        SubscribersError::Unavailable(why) => {
            tracing::debug!(why, "what clients have acknowledged can't be had");
            ClientError::unavailable()
        }
    }
}

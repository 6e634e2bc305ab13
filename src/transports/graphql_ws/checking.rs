//! A token that is being checked. Mostly that is done at once; where its key is not known, the keys are read anew first.

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use sluice_schema::{error::ClientError, ids::SubscriptionName, viewer::Viewer};

use super::super::Gate;

/// What a token was sent for.
pub(super) enum Purpose {
    /// To open the connection; a client may go by a name.
    Init(Option<SubscriptionName>),
    Renewal,
}

/// Of one socket: at most one is under way.
pub(super) struct Checking {
    purpose: Option<Purpose>,
    verdict: Pin<Box<dyn Future<Output = Result<Viewer, ClientError>> + Send>>,
}

pub(super) type Checked = (Purpose, Result<Viewer, ClientError>);

impl Checking {
    pub(super) fn begin(gate: &Arc<dyn Gate>, token: String, purpose: Purpose) -> Self {
        let gate = Arc::clone(gate);
        let verdict = Box::pin(async move { gate.authenticate(&token).await });
        Self { purpose: Some(purpose), verdict }
    }

    /// What is known without waiting. Only where this is `None`, [`Self::done`] is to be waited for.
    pub(super) fn at_once(&mut self) -> Option<Checked> {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(checked) => Some(checked),
            Poll::Pending => None,
        }
    }

    /// Waits for the one that is under way, if there is one. It may be dropped and called again.
    pub(super) async fn done(checking: &mut Option<Self>) -> Checked {
        let Some(under_way) = checking else { return pending().await };
        let checked = poll_fn(|context| under_way.poll(context)).await;
        *checking = None;
        checked
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Checked> {
        let verdict = std::task::ready!(self.verdict.as_mut().poll(context));
        let purpose = self.purpose.take().expect("it is not asked again once it is known");
        Poll::Ready((purpose, verdict))
    }
}

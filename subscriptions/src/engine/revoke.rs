//! Running subscriptions that have lost what they stand and fall with: they end at once, whether or not an event comes.
//!
//! An event is decided for by itself, so nothing hangs on this but that a viewer is told, and that her stream does not go on in
//! silence.

use std::sync::Arc;

use jiff::Timestamp;
use sluice_schema::error::{ClientError, Code};

use super::{Root, subscription::Live};
use crate::{
    access::{Access, AccessUnavailable, Affected, Question},
    relationships::Touched,
};

/// How many are decided anew in one question.
pub(super) const TOGETHER: usize = 500;

/// What was decided about subscriptions that stand and fall with a member.
#[derive(Default)]
pub(super) struct Decisions {
    /// Those whose viewers can't see their member any more.
    pub(super) revoked: Vec<Arc<Live>>,
    /// The others, as far as that may change by itself: from when on.
    pub(super) expiring: Vec<(Timestamp, u64)>,
}

/// Decides about those that a change may have touched. What was decided until it could not be is to be heeded as well; then
/// ask again about all.
pub(super) async fn after<'l>(
    access: &Access,
    subscriptions: impl Iterator<Item = &'l Arc<Live>>,
    touched: &[Touched],
) -> (Decisions, Result<(), AccessUnavailable>) {
    let affected = Affected::by(touched);
    let is_affected =
        |live: &&Arc<Live>| live.root.as_ref().is_some_and(|root| affected.includes(&live.viewer, &root.member));
    decide(access, subscriptions.filter(is_affected).cloned().collect()).await
}

/// Decides about each of these, as [`after`].
pub(super) async fn decide(access: &Access, lives: Vec<Arc<Live>>) -> (Decisions, Result<(), AccessUnavailable>) {
    let mut decisions = Decisions::default();
    for lives in lives.chunks(TOGETHER) {
        if let Err(unavailable) = decisions.about(access, lives).await {
            return (decisions, Err(unavailable));
        }
    }
    (decisions, Ok(()))
}

impl Decisions {
    async fn about(&mut self, access: &Access, lives: &[Arc<Live>]) -> Result<(), AccessUnavailable> {
        let asked: Vec<_> = lives.iter().filter_map(|live| Some((live, live.root.as_ref()?))).collect();
        let questions: Vec<_> = asked.iter().map(|(live, root)| question(live, root)).collect();
        let decided = access.decide(&questions).await?;
        for ((live, root), decided) in asked.into_iter().zip(decided) {
            if !decided.mask.sees(root.label) {
                self.revoked.push(live.clone());
            } else if let Some(until) = decided.until {
                self.expiring.push((until, live.id));
            }
        }
        Ok(())
    }
}

/// Whether the viewer may see what the subscription stands and falls with.
pub(super) fn question<'l>(live: &'l Live, root: &'l Root) -> Question<'l> {
    Question { viewer: &live.viewer, member: Some(&root.member), demand: root.label.mask() }
}

/// What the viewer is told.
pub(super) fn error() -> ClientError {
    ClientError::new(Code::PermissionRevoked, "What this subscription watches is not for you any more.")
}

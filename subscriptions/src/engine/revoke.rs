//! Running subscriptions that have lost what they stand and fall with: they end at once, whether or not an event comes.
//!
//! An event is decided for by itself, so nothing hangs on this but that a viewer is told, and that her stream does not go on in
//! silence.

use std::sync::Arc;

use sluice_schema::error::{ClientError, Code};

use super::subscription::Live;
use crate::{
    access::{Access, AccessUnavailable, Affected, Question},
    relationships::Touched,
};

/// How many are decided anew in one question.
const TOGETHER: usize = 500;

/// Those whose viewers can't see their member any more, of those that a change may have touched.
///
/// # Errors
/// It can't be decided now: ask again.
pub(super) async fn revoked<'l>(
    access: &Access,
    subscriptions: impl Iterator<Item = &'l Arc<Live>>,
    touched: &[Touched],
) -> Result<Vec<Arc<Live>>, AccessUnavailable> {
    let affected = Affected::by(touched);
    let is_affected =
        |live: &&Arc<Live>| live.root.as_ref().is_some_and(|root| affected.includes(&live.viewer, &root.member));
    let lives: Vec<_> = subscriptions.filter(is_affected).cloned().collect();
    let mut revoked = Vec::new();
    for lives in lives.chunks(TOGETHER) {
        let asked: Vec<_> = lives.iter().filter_map(|live| Some((live, live.root.as_ref()?))).collect();
        let questions: Vec<_> = asked
            .iter()
            .map(|(live, root)| Question {
                viewer: &live.viewer,
                member: Some(&root.member),
                demand: root.label.mask(),
            })
            .collect();
        let decided = access.decide(&questions).await?;
        let lost = asked.into_iter().zip(decided).filter(|((_, root), decided)| !decided.mask.sees(root.label));
        revoked.extend(lost.map(|((live, _), _)| live.clone()));
    }
    Ok(revoked)
}

/// What the viewer is told.
pub(super) fn error() -> ClientError {
    ClientError::new(Code::PermissionRevoked, "What this subscription watches is not for you any more.")
}

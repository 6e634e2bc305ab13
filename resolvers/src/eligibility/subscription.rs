//! Watching checks.

use async_graphql::{Context, ID, Result, Subscription};
use futures_util::{Stream, StreamExt};
use sluice_schema::{
    access::Payload,
    graphql::{CursorScalar, EligibilityCheck, See},
};
use sluice_subscriptions::render::Seen;

use crate::{
    projection::{self, Source},
    scope::parse_id,
};

#[derive(Default)]
pub(crate) struct EligibilitySubscription;

#[Subscription]
impl EligibilitySubscription {
    /// One check: its state now, then each change. With `after`, what changed behind that cursor.
    async fn eligibility_check_updated(
        &self,
        ctx: &Context<'_>,
        id: ID,
        after: Option<CursorScalar>,
    ) -> Result<impl Stream<Item = EligibilityCheck>> {
        let source = Source::Check(parse_id(&id, "id")?);
        Ok(projection::open(ctx, source, after)?.filter_map(changed))
    }

    /// All checks of a member: the latest one now, then each change of any. With `after`, what changed behind that cursor.
    async fn member_eligibility(
        &self,
        ctx: &Context<'_>,
        member_id: ID,
        after: Option<CursorScalar>,
    ) -> Result<impl Stream<Item = EligibilityCheck>> {
        let source = Source::Member(parse_id(&member_id, "memberId")?);
        Ok(projection::open(ctx, source, after)?.filter_map(changed))
    }
}

/// The state after the change.
async fn changed(seen: Seen) -> Option<EligibilityCheck> {
    match &*seen.payload {
        Payload::EligibilityCheckChanged(changed) => {
            changed.after.as_ref().map(|check| EligibilityCheck::see(check, seen.mask))
        }
        _ => None,
    }
}

//! Asking a payer, and calling it off.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use sluice_domain::eligibility::commands::Outcome;
use sluice_schema::{
    access::{Mask, REQUEST_ELIGIBILITY_CHECK},
    graphql::EligibilityCheck,
    ids::{CheckId, MemberId},
};
use sluice_subscriptions::access::{Decided, Question};

use super::inputs::RequestEligibilityCheckInput;
use crate::{
    errors::{fail, undecided},
    scope::{CHECK, Scope, Services, parse_id, sees_check},
    selection::demand,
};

#[derive(Default)]
pub(crate) struct EligibilityMutation;

#[Object]
impl EligibilityMutation {
    /// Asks a payer about a member's coverage. Answers as soon as the request is durable, with the check in the state
    /// ACCEPTED; the payer's answer comes as an event. The same key with the same input gives the same check; with other
    /// input, IDEMPOTENCY_CONFLICT.
    async fn request_eligibility_check(
        &self,
        ctx: &Context<'_>,
        input: RequestEligibilityCheckInput,
        #[graphql(desc = "Made by the client, one for each request that it means: a UUID will do.")]
        idempotency_key: String,
    ) -> Result<EligibilityCheck> {
        let member: MemberId = parse_id(&input.member_id, "input.memberId")?;
        let asker = authorize(ctx, Some(&member), &format!("Member/{member}")).await?;
        let (scope, input) = (asker.scope, input.into());
        let request = asker.services.eligibility.request(&scope.viewer, &input, &idempotency_key, &scope.cause);
        let outcome = request.await.map_err(fail)?;
        asker.shown(outcome)
    }

    /// Calls a check off before the payer has answered.
    async fn cancel_eligibility_check(&self, ctx: &Context<'_>, id: ID) -> Result<EligibilityCheck> {
        let id: CheckId = parse_id(&id, "id")?;
        let check = Scope::of(ctx)?.checks.load_one(id.clone()).await.map_err(fail)?;
        let member = check.and_then(|check| check.member_id.parse().ok());
        let asker = authorize(ctx, member.as_ref(), &format!("EligibilityCheck/{id}")).await?;
        let scope = asker.scope;
        let outcome = asker.services.eligibility.cancel(&scope.viewer, &id, &scope.cause).await.map_err(fail)?;
        asker.shown(outcome)
    }
}

/// One who may ask about a member and see the answer.
struct Asker<'c> {
    scope: &'c Scope,
    services: &'c Services,
    member: Option<MemberId>,
    mask: Mask,
    revision: Arc<str>,
}

/// Goes on only with one who may ask about the member and see the answer. For a member that does not exist it asks the
/// same questions.
async fn authorize<'c>(ctx: &Context<'c>, member: Option<&MemberId>, what: &str) -> Result<Asker<'c>> {
    let (scope, services) = (Scope::of(ctx)?, ctx.data::<Services>()?);
    let demand = demand(ctx, &CHECK);
    let question = Question { viewer: &scope.viewer, member, demand };
    let decided = services.access.may(question, REQUEST_ELIGIBILITY_CHECK).await;
    let Decided { may, mask, revision, .. } = decided.map_err(|error| fail(undecided(error)))?;
    if may && sees_check(mask) {
        Ok(Asker { scope, services, member: member.cloned(), mask, revision })
    } else {
        Err(fail(scope.deny(member, what)))
    }
}

impl Asker<'_> {
    /// The check as it is now. What may be seen of it was decided when the request was authorized, for this member and no
    /// other.
    fn shown(self, outcome: Outcome) -> Result<EligibilityCheck> {
        self.scope.wrote(outcome.heads);
        let member = outcome.check.member_id.parse().ok();
        if member != self.member {
            return Err(fail(self.scope.deny(member.as_ref(), &format!("EligibilityCheck/{}", outcome.check.id))));
        }
        Ok(self.scope.reveal(outcome.check, member, self.mask, &self.revision))
    }
}

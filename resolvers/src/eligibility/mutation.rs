//! Asking a payer, and calling it off.

use async_graphql::{Context, ID, Object, Result};
use sluice_domain::eligibility::commands::Outcome;
use sluice_schema::{
    access::REQUEST_ELIGIBILITY_CHECK,
    graphql::EligibilityCheck,
    ids::{CheckId, MemberId},
};

use super::inputs::RequestEligibilityCheckInput;
use crate::{
    errors::{fail, undecided},
    scope::{Scope, Services, parse_id, sees_check},
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
        let (scope, services) = authorize(ctx, Some(&member), &format!("Member/{member}")).await?;
        let input = input.into();
        let request = services.eligibility.request(&scope.viewer, &input, &idempotency_key, &scope.cause);
        let outcome = request.await.map_err(fail)?;
        shown(scope, outcome).await
    }

    /// Calls a check off before the payer has answered.
    async fn cancel_eligibility_check(&self, ctx: &Context<'_>, id: ID) -> Result<EligibilityCheck> {
        let id: CheckId = parse_id(&id, "id")?;
        let check = Scope::of(ctx)?.checks.load_one(id.clone()).await.map_err(fail)?;
        let member = check.and_then(|check| check.member_id.parse().ok());
        let (scope, services) = authorize(ctx, member.as_ref(), &format!("EligibilityCheck/{id}")).await?;
        let outcome = services.eligibility.cancel(&scope.viewer, &id, &scope.cause).await.map_err(fail)?;
        shown(scope, outcome).await
    }
}

/// Goes on only with one who may ask about the member and see the answer. For a member that does not exist it asks the
/// same questions.
async fn authorize<'c>(ctx: &Context<'c>, member: Option<&MemberId>, what: &str) -> Result<(&'c Scope, &'c Services)> {
    let (scope, services) = (Scope::of(ctx)?, ctx.data::<Services>()?);
    let may =
        services.access.may(&scope.viewer, REQUEST_ELIGIBILITY_CHECK, member).await.map_err(|e| fail(undecided(e)))?;
    let (mask, _) = scope.mask(member.cloned()).await.map_err(fail)?;
    if may && sees_check(mask) { Ok((scope, services)) } else { Err(fail(scope.deny(what))) }
}

async fn shown(scope: &Scope, outcome: Outcome) -> Result<EligibilityCheck> {
    let what = format!("EligibilityCheck/{}", outcome.check.id);
    scope.wrote(outcome.heads);
    scope.show(Some(outcome.check), &what).await.map_err(fail)
}

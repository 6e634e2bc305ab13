//! Reading checks.

use async_graphql::{Context, ID, Object, Result};
use sluice_schema::{graphql::EligibilityCheck, ids::CheckId};

use crate::{
    errors::{fail, or_null},
    scope::{CHECK, Scope, parse_id},
    selection::demand,
};

#[derive(Default)]
pub(crate) struct EligibilityQuery;

#[Object]
impl EligibilityQuery {
    /// One eligibility check.
    async fn eligibility_check(&self, ctx: &Context<'_>, id: ID) -> Option<Result<EligibilityCheck>> {
        // A `Result` within the `Option`: a refusal is `null` here, and what was asked beside it is untouched.
        Some(check(ctx, &id).await)
    }

    #[graphql(entity)]
    async fn find_eligibility_check_by_id(&self, ctx: &Context<'_>, id: ID) -> Option<EligibilityCheck> {
        or_null(ctx, check(ctx, &id).await)
    }
}

async fn check(ctx: &Context<'_>, id: &ID) -> Result<EligibilityCheck> {
    let scope = Scope::of(ctx)?;
    let id: CheckId = parse_id(id, "id")?;
    let check = scope.checks.load_one(id.clone()).await.map_err(fail)?;
    scope.show(check, demand(ctx, &CHECK), &format!("EligibilityCheck/{id}")).await.map_err(fail)
}

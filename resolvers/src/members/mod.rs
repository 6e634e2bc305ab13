//! Members. The supergraph owns the type elsewhere; here it has what Sluice knows.

use async_graphql::{
    Context, ID, Object, Result,
    connection::{Connection, Edge, EmptyFields},
};
use futures_util::future::try_join_all;
use sluice_domain::{eligibility::reader::Current, store::Page};
use sluice_schema::{
    error::{ClientError, Code},
    graphql::EligibilityCheck,
    ids::{CheckId, MemberId},
};

use crate::{
    errors::{fail, or_null, unreadable},
    scope::{CHECK, Scope, Services, parse_id, sees_check, sight_of_check},
    selection::demand,
};

/// How many checks one page holds at most, and without `first`.
const MAX_PAGE: i32 = 100;
const PAGE: i32 = 20;

#[derive(Default)]
pub(crate) struct MembersQuery;

#[Object]
impl MembersQuery {
    /// A member.
    async fn member(&self, ctx: &Context<'_>, id: ID) -> Option<Result<Member>> {
        Some(member(ctx, &id).await)
    }

    #[graphql(entity)]
    async fn find_member_by_id(&self, ctx: &Context<'_>, id: ID) -> Option<Member> {
        or_null(ctx, member(ctx, &id).await)
    }
}

async fn member(ctx: &Context<'_>, id: &ID) -> Result<Member> {
    let scope = Scope::of(ctx)?;
    let id: MemberId = parse_id(id, "id")?;
    let (mask, _) = scope.mask(Some(id.clone()), sight_of_check()).await.map_err(fail)?;
    if sees_check(mask) { Ok(Member(id)) } else { Err(fail(scope.deny(Some(&id), &format!("Member/{id}")))) }
}

/// A member (patient).
pub(crate) struct Member(MemberId);

#[Object]
impl Member {
    /// An opaque id.
    async fn id(&self) -> ID {
        ID(self.0.to_string())
    }

    /// What is known of the member's coverage.
    async fn eligibility(&self) -> MemberEligibility {
        MemberEligibility(self.0.clone())
    }
}

type Checks = Connection<String, EligibilityCheck, EmptyFields, EmptyFields>;

/// A member's eligibility checks.
pub(crate) struct MemberEligibility(MemberId);

#[Object]
impl MemberEligibility {
    /// The check that was requested last; null where there was none.
    async fn latest(&self, ctx: &Context<'_>) -> Option<Result<EligibilityCheck>> {
        match self.page(ctx, &Page { after: None, limit: 1 }).await {
            Ok(checks) => Some(show(ctx, checks.into_iter().next()?).await),
            Err(error) => Some(Err(error)),
        }
    }

    /// All checks, newest first (Relay Cursor Connections).
    async fn checks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default = 20)] first: i32,
        #[graphql(desc = "Continue behind this edge's cursor.")] after: Option<String>,
    ) -> Option<Result<Checks>> {
        Some(self.connection(ctx, first, after).await)
    }
}

impl MemberEligibility {
    async fn connection(&self, ctx: &Context<'_>, first: i32, after: Option<String>) -> Result<Checks> {
        let limit = page_size(first)?;
        let has_previous = after.is_some();
        let after = after.map(|after| parse_id::<CheckId>(&after, "after")).transpose()?;
        let page = Page { after: after.map(|id| id.to_string()), limit: limit + 1 };
        let checks = self.page(ctx, &page).await?;
        let mut connection = Connection::new(has_previous, checks.len() > limit);
        // All at once, so that access is asked for once.
        let shown = checks.into_iter().take(limit).map(|current| show(ctx, current));
        for check in try_join_all(shown).await? {
            connection.edges.push(Edge::new(check.id.to_string(), check));
        }
        Ok(connection)
    }

    async fn page(&self, ctx: &Context<'_>, page: &Page) -> Result<Vec<Current>> {
        let tenant = &Scope::of(ctx)?.viewer.tenant;
        let read = ctx.data::<Services>()?.reader.list(tenant, &self.0, page).await;
        read.map_err(|error| fail(unreadable(error)))
    }
}

async fn show(ctx: &Context<'_>, current: Current) -> Result<EligibilityCheck> {
    let what = format!("EligibilityCheck/{}", current.check.id);
    Scope::of(ctx)?.show(Some(current.check), demand(ctx, &CHECK), &what).await.map_err(fail)
}

fn page_size(first: i32) -> Result<usize> {
    let fits = (1..=MAX_PAGE).contains(&first).then(|| usize::try_from(first).ok()).flatten();
    fits.ok_or_else(|| {
        fail(
            ClientError::new(Code::InvalidPage, format!("`first` is 1 to {MAX_PAGE}; {PAGE} where it is left out."))
                .at("first"),
        )
    })
}

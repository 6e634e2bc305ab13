//! What security staff does: ending sessions.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use jiff::Timestamp;
use sluice_schema::{
    access::REVOKE_TOKENS,
    error::{ClientError, Code},
    graphql::DateTime,
    ids::UserId,
    token::TokenId,
    viewer::PurposeOfUse,
};
use sluice_subscriptions::revocations::{Revocation, RevocationsUnavailable, Revoked, Target};

use crate::{
    errors::{fail, undecided},
    scope::{Scope, Services, parse_id},
};

/// Whose tokens count no longer: exactly one of the two.
#[derive(InputObject)]
pub(crate) struct RevokeTokensInput {
    /// All tokens of this user that were issued by now, and those by which she acts for others: the `sub` of a token, or of its
    /// `act`.
    user_id: Option<ID>,
    /// One token: its `jti`.
    token_id: Option<ID>,
}

/// What was revoked.
#[derive(SimpleObject)]
pub(crate) struct RevokedTokens {
    /// Set where all of a user's were.
    user_id: Option<ID>,
    /// All of the user's that were issued at this time or before it: a little ahead of now, as clocks may be apart.
    issued_until: Option<DateTime>,
    /// Set where one token was: the SHA-256 of its `jti`, in hexadecimal digits, as the audit trail has it.
    token_digest: Option<String>,
    /// From then on it counts no longer.
    revoked_at: DateTime,
}

#[derive(Default)]
pub(crate) struct SecurityMutation;

#[Object]
impl SecurityMutation {
    /// Ends all sessions by a token, or by all of a user's, at once: live sockets, waiting polls and requests under way. The
    /// tokens are refused from then on. The user may sign in again. Answers when that is durable, and nothing more is sent to
    /// those sessions by this node; others follow within a second.
    async fn revoke_tokens(&self, ctx: &Context<'_>, input: RevokeTokensInput) -> Result<RevokedTokens> {
        let target = input.target()?;
        let (scope, services) = (Scope::of(ctx)?, ctx.data::<Services>()?);
        let subject = subject(&target);
        let may = services.access.has(&scope.viewer, ("tenant", scope.viewer.tenant.as_str()), REVOKE_TOKENS).await;
        if !may.map_err(|error| fail(undecided(error)))? || scope.viewer.purpose != PurposeOfUse::Operations {
            return Err(fail(scope.deny(None, &format!("{REVOKE_TOKENS} {subject}"))));
        }
        let record = scope.administers(REVOKE_TOKENS, None, &subject);
        services.engine.audit(vec![record]).await.map_err(fail)?;
        let revoked = services.revocations.revoke(&scope.viewer.tenant, target).await;
        Ok(RevokedTokens::by(revoked.map_err(|error| fail(not_written(error)))?))
    }
}

impl RevokeTokensInput {
    fn target(self) -> Result<Target> {
        match (self.user_id, self.token_id) {
            (Some(user), None) => Ok(Target::User(parse_id::<UserId>(&user, "input.userId")?)),
            (None, Some(token)) => {
                let invalid = |error| ClientError::new(Code::InvalidId, format!("{error}.")).at("input.tokenId");
                TokenId::of(&token).map(Target::Token).map_err(|error| fail(invalid(error)))
            }
            _ => Err(fail(ClientError::new(Code::BadRequest, "Name one of `userId` and `tokenId`.").at("input"))),
        }
    }
}

/// As the audit trail has it.
fn subject(target: &Target) -> String {
    match target {
        Target::User(user) => format!("user:{user}"),
        Target::Token(id) => format!("token:{id}"),
    }
}

fn not_written(error: RevocationsUnavailable) -> ClientError {
    // Told once by what asks the store.
    tracing::debug!(%error, "a revocation may not have been written");
    ClientError::new(Code::Unavailable, "It is not known whether it was revoked: do it again.")
}

impl RevokedTokens {
    fn by(revocation: Revocation) -> Self {
        let revoked_at = DateTime(Timestamp::now());
        match revocation.revoked {
            Revoked::Token(id) => {
                Self { user_id: None, issued_until: None, token_digest: Some(id.to_string()), revoked_at }
            }
            Revoked::User { user, issued_until } => Self {
                user_id: Some(ID(user.to_string())),
                issued_until: Some(DateTime(issued_until)),
                token_digest: None,
                revoked_at,
            },
        }
    }
}

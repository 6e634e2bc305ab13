//! A member's own relations: who represents her, who is family, whose care team she is in, whom she closes out.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use sluice_schema::{
    access::{MANAGE_ACCESS, SHARE},
    error::{ClientError, Code},
    graphql::DateTime,
    ids::MemberId,
    viewer::PurposeOfUse,
};
use sluice_subscriptions::relationships::{Relationship, SubjectRef, Update};

use super::{Change, Grantee, until};
use crate::{errors::fail, scope::parse_id};

#[derive(Default)]
pub(crate) struct GrantsMutation;

#[Object]
impl GrantsMutation {
    /// Relates somebody to a member, from now on, and until an instant where one is given. Granted anew, it is until the new
    /// one. The member, and whoever stands in her place (`PATRQT`), say who is family and whom she closes out; an
    /// organization's access managers (`HOPERAT`) write down any relation. Nobody grants anything to herself, or to a care team
    /// that she is on. Where the right of one who grants in the member's place is to end, what she grants ends then at the
    /// latest: `until` tells.
    async fn grant_access(&self, ctx: &Context<'_>, input: GrantAccessInput) -> Result<MemberAccess> {
        let GrantAccessInput { member_id, relation, user_id, care_team_id, until: end } = input;
        let grant = Grant::read(&member_id, relation, user_id.as_ref(), care_team_id.as_ref())?;
        let expires = until(end)?;
        if relation == MemberRelation::Blocked && expires.is_some() {
            let message = "Whom a member closes out is closed out until she says otherwise: leave `until` out.";
            return Err(fail(ClientError::new(Code::BadRequest, message).at("input.until")));
        }
        let change = grant.authorize(ctx, "grant_access").await?;
        match &grant.to {
            Grantee::User(user) => change.to_another(user)?,
            Grantee::CareTeam(team) => change.to_anothers_team(team).await?,
        }
        let expires = match relation {
            // It takes away.
            MemberRelation::Blocked => None,
            _ => change.at_most(&grant.member, expires).await?,
        };
        change.write(vec![Update::Touch(Relationship { expires, ..grant.relationship(&change) })]).await?;
        Ok(grant.answer(true, expires.map(DateTime)))
    }

    /// Takes such a relation back. What was not granted is not there either: no error.
    async fn revoke_access(&self, ctx: &Context<'_>, input: RevokeAccessInput) -> Result<MemberAccess> {
        let RevokeAccessInput { member_id, relation, user_id, care_team_id } = input;
        let grant = Grant::read(&member_id, relation, user_id.as_ref(), care_team_id.as_ref())?;
        let change = grant.authorize(ctx, "revoke_access").await?;
        change.write(vec![Update::Delete(grant.relationship(&change))]).await?;
        Ok(grant.answer(false, None))
    }
}

/// Who somebody is to a member; docs/access.md tells what each may see.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberRelation {
    /// Stands in her place in all that concerns her.
    PersonalRepresentative,
    /// Acts for a minor.
    Guardian,
    /// Acts for a child, whose confidential categories are not her own yet; has GUARDIAN besides.
    GuardianOfChild,
    /// May follow along in everything that families may.
    Family,
    /// May follow along in what concerns coverage and what it pays.
    FamilyCoverage,
    /// May follow along in what concerns care.
    FamilyCare,
    /// Looks after her. For a care team, named by `careTeamId`.
    CareTeam,
    /// Closed out, whatever else they are to her.
    Blocked,
}

impl MemberRelation {
    const fn name(self) -> &'static str {
        match self {
            Self::PersonalRepresentative => "personal_representative",
            Self::Guardian => "guardian",
            Self::GuardianOfChild => "guardian_of_child",
            Self::Family => "family",
            Self::FamilyCoverage => "family_coverage",
            Self::FamilyCare => "family_care",
            Self::CareTeam => "care_team",
            Self::Blocked => "blocked",
        }
    }

    /// Whether it is the member's own to say.
    const fn is_hers(self) -> bool {
        matches!(self, Self::Family | Self::FamilyCoverage | Self::FamilyCare | Self::Blocked)
    }
}

#[derive(InputObject)]
pub(crate) struct GrantAccessInput {
    member_id: ID,
    relation: MemberRelation,
    /// The person: the `sub` of her tokens.
    user_id: Option<ID>,
    /// The care team, for the relation CARE_TEAM.
    care_team_id: Option<ID>,
    /// From then on it is as if it had not been granted.
    until: Option<DateTime>,
}

#[derive(InputObject)]
pub(crate) struct RevokeAccessInput {
    member_id: ID,
    relation: MemberRelation,
    user_id: Option<ID>,
    care_team_id: Option<ID>,
}

/// A relation to a member, as it is after the mutation.
#[derive(SimpleObject)]
pub(crate) struct MemberAccess {
    member_id: ID,
    relation: MemberRelation,
    user_id: Option<ID>,
    care_team_id: Option<ID>,
    granted: bool,
    until: Option<DateTime>,
}

struct Grant {
    member: MemberId,
    relation: MemberRelation,
    to: Grantee,
}

impl Grant {
    fn read(member: &ID, relation: MemberRelation, user: Option<&ID>, team: Option<&ID>) -> Result<Self> {
        let to = Grantee::of(user, team)?;
        if matches!(to, Grantee::CareTeam(_)) == (relation == MemberRelation::CareTeam) {
            return Ok(Self { member: parse_id(member, "input.memberId")?, relation, to });
        }
        let message = "CARE_TEAM is a relation of a care team (careTeamId), all others are of a person (userId).";
        Err(fail(ClientError::new(Code::BadRequest, message).at("input.relation")))
    }

    async fn authorize<'c>(&self, ctx: &Context<'c>, operation: &'static str) -> Result<Change<'c>> {
        let manager = (PurposeOfUse::Operations, MANAGE_ACCESS);
        let hers = (PurposeOfUse::PatientRequest, SHARE);
        let permissions = if self.relation.is_hers() { &[manager, hers][..] } else { &[manager] };
        Change::of_member(ctx, operation, &self.member, permissions).await
    }

    fn relationship(&self, change: &Change<'_>) -> Relationship {
        let subject: SubjectRef = self.to.plain(&change.scope.viewer.tenant);
        let resource = change.object("member", self.member.as_str());
        Relationship { resource, relation: self.relation.name().into(), subject, expires: None }
    }

    fn answer(self, granted: bool, until: Option<DateTime>) -> MemberAccess {
        MemberAccess {
            member_id: ID(self.member.to_string()),
            relation: self.relation,
            user_id: self.to.user(),
            care_team_id: self.to.care_team(),
            granted,
            until,
        }
    }
}

//! Who is on a care team.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use sluice_schema::{
    access::MANAGE,
    error::{ClientError, Code},
    graphql::DateTime,
    ids::{CareTeamId, UserId},
};
use sluice_subscriptions::relationships::{Relationship, SubjectRef, Update};

use super::{Change, until};
use crate::{errors::fail, scope::parse_id};

#[derive(Default)]
pub(crate) struct TeamsMutation;

#[Object]
impl TeamsMutation {
    /// Puts somebody else on a care team, in this one role. The team's leads (`TREAT`) and the organization's access managers
    /// (`HOPERAT`) may.
    async fn set_care_team_member(&self, ctx: &Context<'_>, input: SetCareTeamMemberInput) -> Result<CareTeamMember> {
        let SetCareTeamMemberInput { care_team_id, user_id, role, until: end } = input;
        let (team, user) = parse(&care_team_id, &user_id)?;
        let expires = until(end)?;
        role.bears(end)?;
        let change = Change::of_object(ctx, "set_care_team_member", ("care_team", team.as_str()), &MANAGE).await?;
        change.to_another(&user)?;
        let update = |other: TeamRole| {
            let relationship = relationship(&change, &team, &user, other);
            if other == role {
                Update::Touch(Relationship { expires, ..relationship })
            } else {
                Update::Delete(relationship)
            }
        };
        change.write(TeamRole::ALL.map(update).into()).await?;
        Ok(CareTeamMember { care_team_id, user_id, role: Some(role), until: end })
    }

    /// Takes somebody off a care team, whatever her role is. One who is not on it is no error.
    async fn remove_care_team_member(
        &self,
        ctx: &Context<'_>,
        input: RemoveCareTeamMemberInput,
    ) -> Result<CareTeamMember> {
        let RemoveCareTeamMemberInput { care_team_id, user_id } = input;
        let (team, user) = parse(&care_team_id, &user_id)?;
        let change = Change::of_object(ctx, "remove_care_team_member", ("care_team", team.as_str()), &MANAGE).await?;
        let delete = |role| Update::Delete(relationship(&change, &team, &user, role));
        change.write(TeamRole::ALL.map(delete).into()).await?;
        Ok(CareTeamMember { care_team_id, user_id, role: None, until: None })
    }
}

fn parse(team: &ID, user: &ID) -> Result<(CareTeamId, UserId)> {
    Ok((parse_id(team, "input.careTeamId")?, parse_id(user, "input.userId")?))
}

fn relationship(change: &Change<'_>, team: &CareTeamId, user: &UserId, role: TeamRole) -> Relationship {
    let subject = SubjectRef { object: change.object("user", user.as_str()), relation: None };
    let resource = change.object("care_team", team.as_str());
    Relationship { resource, relation: role.name().into(), subject, expires: None }
}

/// What somebody is on a care team. All of them treat its members.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TeamRole {
    /// Also says who is on it. Without an end.
    Lead,
    Member,
    /// Stands in for a colleague, until an instant.
    Covering,
}

impl TeamRole {
    const ALL: [Self; 3] = [Self::Lead, Self::Member, Self::Covering];

    const fn name(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Member => "member",
            Self::Covering => "covering",
        }
    }

    /// Whether it goes with an end, or without.
    fn bears(self, until: Option<DateTime>) -> Result<()> {
        let message = match (self, until) {
            (Self::Lead, Some(_)) => "A LEAD is one without an end: leave `until` out.",
            (Self::Covering, None) => "Whoever is COVERING does so until an instant: say when it ends.",
            _ => return Ok(()),
        };
        Err(fail(ClientError::new(Code::BadRequest, message).at("input.until")))
    }
}

#[derive(InputObject)]
pub(crate) struct SetCareTeamMemberInput {
    care_team_id: ID,
    user_id: ID,
    role: TeamRole,
    until: Option<DateTime>,
}

#[derive(InputObject)]
pub(crate) struct RemoveCareTeamMemberInput {
    care_team_id: ID,
    user_id: ID,
}

/// Somebody and a care team, as it is after the mutation.
#[derive(SimpleObject)]
pub(crate) struct CareTeamMember {
    care_team_id: ID,
    user_id: ID,
    /// Null: she is not on it.
    role: Option<TeamRole>,
    until: Option<DateTime>,
}

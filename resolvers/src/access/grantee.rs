//! To whom something is granted: one person, or a care team.

use async_graphql::{ID, Result};
use sluice_schema::{
    error::{ClientError, Code},
    ids::{CareTeamId, TenantId, UserId},
};
use sluice_subscriptions::relationships::{ObjectRef, SubjectRef};

use crate::{errors::fail, scope::parse_id};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Grantee {
    User(UserId),
    CareTeam(CareTeamId),
}

impl Grantee {
    /// From the two input fields, of which one is to be given.
    pub(super) fn of(user: Option<&ID>, team: Option<&ID>) -> Result<Self> {
        match (user, team) {
            (Some(user), None) => Ok(Self::User(parse_id(user, "input.userId")?)),
            (None, Some(team)) => Ok(Self::CareTeam(parse_id(team, "input.careTeamId")?)),
            _ => {
                let message = "Name one person (userId) or one care team (careTeamId), not both.";
                Err(fail(ClientError::new(Code::BadRequest, message).at("input.userId")))
            }
        }
    }

    /// As a subject: the person, or everybody who treats the members of the team.
    pub(super) fn treating(&self, tenant: &TenantId) -> SubjectRef {
        let set = matches!(self, Self::CareTeam(_)).then(|| "treats".into());
        SubjectRef { relation: set, ..self.plain(tenant) }
    }

    /// As a subject: the person, or the team itself.
    pub(super) fn plain(&self, tenant: &TenantId) -> SubjectRef {
        let object = match self {
            Self::User(user) => ObjectRef::new("user", tenant, user.as_str()),
            Self::CareTeam(team) => ObjectRef::new("care_team", tenant, team.as_str()),
        };
        SubjectRef { object, relation: None }
    }

    pub(super) fn user(&self) -> Option<ID> {
        if let Self::User(user) = self { Some(ID(user.to_string())) } else { None }
    }

    pub(super) fn care_team(&self) -> Option<ID> {
        if let Self::CareTeam(team) = self { Some(ID(team.to_string())) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_two_is_named_and_not_both() {
        let (user, team) = (ID::from("u-1"), ID::from("t-1"));
        assert_eq!(Grantee::of(Some(&user), None).expect("a person"), Grantee::User("u-1".parse().expect("id")));
        assert_eq!(Grantee::of(None, Some(&team)).expect("a team"), Grantee::CareTeam("t-1".parse().expect("id")));
        Grantee::of(Some(&user), Some(&team)).expect_err("both");
        Grantee::of(None, None).expect_err("none");
        Grantee::of(Some(&ID::from("a/b")), None).expect_err("no id");
    }
}

//! How long somebody is to stand in a member's place: what she gives in her name does not outlast that.

use async_graphql::Result;
use jiff::Timestamp;
use sluice_schema::{ids::MemberId, viewer::PurposeOfUse};
use sluice_subscriptions::relationships::{Relationship, SubjectRef};

use super::{Change, Grantee, unread};
use crate::errors::fail;

/// The member's own sign-in.
const SELF: &str = "self";

/// The relations behind `represents` of schema/authz/sluice.zed.
const IN_HER_PLACE: [&str; 3] = [SELF, "personal_representative", "guardian_of_child"];

impl Change<'_> {
    /// When what is given to somebody ends: at `until`, and not behind the end of the right that it is given by.
    ///
    /// # Errors
    /// `NOT_FOUND`: that right is over.
    pub(super) async fn at_most(&self, member: &MemberId, until: Option<Timestamp>) -> Result<Option<Timestamp>> {
        if self.scope.viewer.purpose != PurposeOfUse::PatientRequest {
            // An access manager writes down what goes on without her.
            return Ok(until);
        }
        self.within_her_right(member, &self.standing(member).await?, until)
    }

    /// The same for a class that is opened to somebody. Who stands in the member's place does not open it to a care team that
    /// she is on: what she sees by it, for treatment, would outlive her right where that is taken away. The member may: it is
    /// her own record, and by her own right.
    ///
    /// # Errors
    /// `NOT_FOUND`: that right is over. `BAD_REQUEST`: it would be to herself.
    pub(super) async fn consents(
        &self,
        member: &MemberId,
        to: &Grantee,
        until: Option<Timestamp>,
    ) -> Result<Option<Timestamp>> {
        let standing = self.standing(member).await?;
        match to {
            Grantee::User(user) => self.to_another(user)?,
            Grantee::CareTeam(_) if standing.iter().any(|one| &*one.relation == SELF) => {}
            Grantee::CareTeam(team) => self.to_anothers_team(team).await?,
        }
        self.within_her_right(member, &standing, until)
    }

    /// By what the viewer stands in the member's place.
    async fn standing(&self, member: &MemberId) -> Result<Vec<Relationship>> {
        let of_member = self.services.relationships.read(&self.object("member", member.as_str())).await;
        let mut standing = of_member.map_err(|error| fail(unread(&error)))?;
        let herself = SubjectRef { object: self.object("user", self.scope.viewer.user.as_str()), relation: None };
        standing.retain(|one| one.subject == herself && IN_HER_PLACE.contains(&&*one.relation));
        Ok(standing)
    }

    fn within_her_right(
        &self,
        member: &MemberId,
        standing: &[Relationship],
        until: Option<Timestamp>,
    ) -> Result<Option<Timestamp>> {
        match standing.iter().map(|one| one.expires).reduce(latest) {
            Some(ends) => Ok(until.into_iter().chain(ends).min()),
            None => Err(fail(self.scope.deny(Some(member), &format!("Member/{member}")))),
        }
    }
}

/// Without an end is later than any.
fn latest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.zip(other).map(|(one, other)| one.max(other))
}

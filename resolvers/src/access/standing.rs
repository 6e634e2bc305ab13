//! How long somebody is to stand in a member's place: what she gives in her name does not outlast that.

use async_graphql::Result;
use jiff::Timestamp;
use sluice_schema::{ids::MemberId, viewer::PurposeOfUse};
use sluice_subscriptions::relationships::{Relationship, SubjectRef};

use super::{Change, unread};
use crate::errors::fail;

/// The relations behind `represents` of schema/authz/sluice.zed.
const IN_HER_PLACE: [&str; 3] = ["self", "personal_representative", "guardian_of_child"];

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
        let of_member = self.services.relationships.read(&self.object("member", member.as_str())).await;
        let herself = SubjectRef { object: self.object("user", self.scope.viewer.user.as_str()), relation: None };
        let is_hers = |one: &Relationship| one.subject == herself && IN_HER_PLACE.contains(&&*one.relation);
        let of_member = of_member.map_err(|error| fail(unread(&error)))?;
        let ends = of_member.iter().filter(|one| is_hers(one)).map(|one| one.expires).reduce(latest);
        match ends {
            Some(ends) => Ok(until.into_iter().chain(ends).min()),
            None => Err(fail(self.scope.deny(Some(member), &format!("Member/{member}")))),
        }
    }
}

/// Without an end is later than any.
fn latest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.zip(other).map(|(one, other)| one.max(other))
}

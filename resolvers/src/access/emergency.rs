//! Breaking the glass.

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use sluice_schema::{access::BREAK_GLASS, graphql::DateTime, ids::MemberId, viewer::PurposeOfUse};
use sluice_subscriptions::relationships::{Relationship, SubjectRef, Update};

use super::Change;
use crate::{errors::fail, scope::parse_id};

#[derive(Default)]
pub(crate) struct EmergencyMutation;

#[Object]
impl EmergencyMutation {
    /// Opens a member's record to the one who asks, for an hour at most: what her care team sees, and every sensitivity
    /// class. Clinicians of the member's organization may, for treatment (`TREAT`). It is told on the channel
    /// `/members/ID/emergency` before anything is opened, and recorded under the asker's name with each record that it
    /// shows. Running streams show it with their next event, and go back by themselves.
    async fn break_glass(
        &self,
        ctx: &Context<'_>,
        member_id: ID,
        #[graphql(desc = "Why, in a sentence; the privacy officers and the member read it.")] reason: String,
        #[graphql(desc = "1 to 60.")] minutes: i32,
    ) -> Result<EmergencyAccess> {
        let member: MemberId = parse_id(&member_id, "memberId")?;
        let permission = [(PurposeOfUse::Treatment, BREAK_GLASS)];
        let change = Change::of_member(ctx, "break_glass", &member, &permission).await?;
        let (scope, services) = (change.scope, change.services);
        let emergency = services.emergency.parse(&scope.viewer, &member, &reason, minutes).map_err(fail)?;
        let user = SubjectRef { object: change.object("user", emergency.user.as_str()), relation: None };
        let relationship = Relationship {
            resource: change.object("member", member.as_str()),
            relation: "emergency".into(),
            subject: user,
            expires: Some(emergency.until),
        };
        let updates = vec![Update::Touch(relationship)];
        change.record(&updates).await?;
        let told = services.emergency.tell(&scope.viewer, &emergency, &scope.cause).await.map_err(fail)?;
        scope.wrote(told.heads);
        change.apply(updates).await?;
        Ok(EmergencyAccess { member_id, until: DateTime(emergency.until), event_id: ID(told.event_id) })
    }
}

/// A member's record, open until an instant.
#[derive(SimpleObject)]
pub(crate) struct EmergencyAccess {
    member_id: ID,
    until: DateTime,
    /// The event by which it was told.
    event_id: ID,
}

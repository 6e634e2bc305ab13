//! Changes of who may see what: grants, consents, care teams, emergency access. Each is authorized, recorded in the audit
//! trail, and only then written; running streams have it before the answer is sent.

pub(crate) mod consents;
pub(crate) mod emergency;
mod grantee;
pub(crate) mod grants;
mod standing;
pub(crate) mod teams;

use async_graphql::{Context, Result};
use jiff::Timestamp;
use sluice_schema::{
    access::{Mask, SHARE, TREATS},
    error::{ClientError, Code},
    graphql::DateTime,
    ids::{CareTeamId, MemberId, UserId},
    viewer::PurposeOfUse,
};
use sluice_subscriptions::{
    access::Question,
    relationships::{ObjectRef, Relationship, RelationshipsError, SubjectRef, Update},
};

use self::grantee::Grantee;
use crate::{
    errors::{fail, undecided},
    scope::{Scope, Services},
};

/// A change of relationships that somebody wants, and who that is.
struct Change<'c> {
    scope: &'c Scope,
    services: &'c Services,
    /// The mutation, for the audit trail.
    operation: &'static str,
    patient: Option<MemberId>,
}

impl<'c> Change<'c> {
    /// Goes on only with one who has one of these permissions on the member: that of the purpose that she comes for. One is asked
    /// about whatever the purpose is, and for a member that does not exist as well.
    async fn of_member(
        ctx: &Context<'c>,
        operation: &'static str,
        member: &MemberId,
        permissions: &[(PurposeOfUse, &'static str)],
    ) -> Result<Self> {
        let (scope, services) = (Scope::of(ctx)?, ctx.data::<Services>()?);
        let question = Question { viewer: &scope.viewer, member: Some(member), demand: Mask::NOTHING };
        let (asked, is_hers) = of_purpose(permissions, scope.viewer.purpose);
        let decided = services.access.may(question, asked).await;
        if decided.map_err(|error| fail(undecided(error)))?.may && is_hers {
            Ok(Self { scope, services, operation, patient: Some(member.clone()) })
        } else {
            Err(fail(scope.deny(Some(member), &format!("Member/{member}"))))
        }
    }

    /// The same for what is no member.
    async fn of_object(
        ctx: &Context<'c>,
        operation: &'static str,
        (object_type, id): (&'static str, &str),
        permissions: &[(PurposeOfUse, &'static str)],
    ) -> Result<Self> {
        let (scope, services) = (Scope::of(ctx)?, ctx.data::<Services>()?);
        let (asked, is_hers) = of_purpose(permissions, scope.viewer.purpose);
        let has = services.access.has(&scope.viewer, (object_type, id), asked).await;
        if has.map_err(|error| fail(undecided(error)))? && is_hers {
            Ok(Self { scope, services, operation, patient: None })
        } else {
            Err(fail(scope.deny(None, &format!("{object_type}/{id}"))))
        }
    }

    /// Nobody gives anything to herself: who may, has it already, or has to be given it by somebody else. What she gave herself
    /// would outlive the right that she gave it by.
    fn to_another(&self, user: &UserId) -> Result<()> {
        if *user != self.scope.viewer.user {
            return Ok(());
        }
        let message = "Nobody grants anything to herself: somebody else has to.";
        Err(fail(ClientError::new(Code::BadRequest, message).at("input.userId")))
    }

    /// The same for a care team: whoever is on it would give to herself what she gives to it.
    async fn to_anothers_team(&self, team: &CareTeamId) -> Result<()> {
        let on_it = self.services.access.has(&self.scope.viewer, ("care_team", team.as_str()), TREATS).await;
        if !on_it.map_err(|error| fail(undecided(error)))? {
            return Ok(());
        }
        let message = "Nobody grants anything to a care team that she is on: somebody else has to.";
        Err(fail(ClientError::new(Code::BadRequest, message).at("input.careTeamId")))
    }

    fn object(&self, object_type: &str, id: &str) -> ObjectRef {
        ObjectRef::new(object_type, &self.scope.viewer.tenant, id)
    }

    /// Records what is about to be done: ids, and no reason. Without a record nothing is done.
    async fn record(&self, updates: &[Update]) -> Result<()> {
        let subject = updates.iter().map(text).collect::<Vec<_>>().join(", ");
        let record = self.scope.administers(self.operation, self.patient.clone(), &subject);
        self.services.engine.audit(vec![record]).await.map_err(fail)
    }

    /// Records the updates and makes them.
    async fn write(&self, updates: Vec<Update>) -> Result<()> {
        self.record(&updates).await?;
        self.apply(updates).await
    }

    /// When this answers, what this process sends is by what is now: also what was decided before and waited for its record.
    async fn apply(&self, updates: Vec<Update>) -> Result<()> {
        let written = self.services.relationships.write(updates).await;
        written.map_err(|error| fail(unwritten(&error)))?;
        self.services.engine.handed_over().await;
        Ok(())
    }
}

/// Which of these permissions is asked about for a purpose, and whether it is that purpose's: if none is, the answer counts for
/// nothing.
fn of_purpose(permissions: &[(PurposeOfUse, &'static str)], purpose: PurposeOfUse) -> (&'static str, bool) {
    let hers = permissions.iter().find(|(of, _)| *of == purpose);
    (hers.or(permissions.first()).map_or(SHARE, |(_, permission)| *permission), hers.is_some())
}

/// As the audit trail has it: `+member:acme/m-1#family@user:acme/u-2 until 2026-11-24T08:30:00Z`.
fn text(update: &Update) -> String {
    let (sign, one) = match update {
        Update::Touch(one) => ('+', one),
        Update::Delete(one) => ('-', one),
    };
    let Relationship { resource, relation, subject: SubjectRef { object, relation: set }, expires } = one;
    let set = set.as_ref().map(|set| format!("#{set}")).unwrap_or_default();
    let until = expires.filter(|_| sign == '+').map(|at| format!(" until {at}")).unwrap_or_default();
    format!("{sign}{resource}#{relation}@{object}{set}{until}")
}

fn unread(error: &RelationshipsError) -> ClientError {
    tracing::warn!(%error, "relationships could not be read");
    ClientError::new(Code::Unavailable, "Nothing was carried out: who may say so can't be told now. Send it again.")
}

fn unwritten(error: &RelationshipsError) -> ClientError {
    match error {
        RelationshipsError::Unavailable(_) | RelationshipsError::Overtaken => {
            tracing::warn!(%error, "a change of relationships could not be written");
            ClientError::new(
                Code::Unavailable,
                "It is not known whether this was carried out. Send it again: done twice, it is the same.",
            )
        }
        RelationshipsError::Invalid(_) => {
            tracing::error!(%error, "a change of relationships is not what the schema allows");
            ClientError::new(Code::Internal, "The change was not carried out: a fault of the server.")
        }
    }
}

/// When a grant is to end.
fn until(until: Option<DateTime>) -> Result<Option<Timestamp>> {
    match until {
        Some(DateTime(at)) if at <= Timestamp::now() => {
            let message = "This instant is over: leave it out for a grant without an end, or revoke what is granted.";
            Err(fail(ClientError::new(Code::InvalidDate, message).at("input.until")))
        }
        until => Ok(until.map(|DateTime(at)| at)),
    }
}

//! What may this viewer see of this member, now? Nothing is cached: each call asks.

use std::{sync::Arc, time::Duration};

use sluice_schema::{
    access::{Mask, permissions_for},
    ids::MemberId,
    viewer::Viewer,
};

use crate::relationships::{Check, Checked, Consistency, ObjectRef, Relationships, RelationshipsError};

/// A member id that no tenant can have (member ids have no `=`): asked about in place of what does not exist, so that a look in
/// vain costs as many checks as one at what is not yours.
const NOBODY: &str = "=nobody";

/// Permissions can't be had now. Nothing may be shown.
#[derive(Debug, thiserror::Error)]
#[error("access can't be decided now: {0}")]
pub struct AccessUnavailable(String);

/// Whose view of whom is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    pub viewer: &'a Viewer,
    /// None: what belongs to no member is shown to nobody.
    pub member: Option<&'a MemberId>,
    /// The part of the mask that the answer is for: the rest is neither asked about nor opened.
    pub demand: Mask,
}

/// The answers, in the order of the questions, all at one revision.
#[derive(Debug, Clone)]
pub struct Decisions {
    pub revision: Arc<str>,
    pub masks: Vec<Mask>,
}

/// Decides. Anything but a clear yes is no.
pub struct Access {
    relationships: Arc<dyn Relationships>,
    deadline: Duration,
}

impl Access {
    pub fn new(relationships: Arc<dyn Relationships>, deadline: Duration) -> Self {
        Self { relationships, deadline }
    }

    /// The mask of each viewer for each member, by everything that was written before this call.
    ///
    /// # Errors
    /// The relationships are away, slow or at fault: show nothing.
    pub async fn decide(&self, questions: &[Question<'_>]) -> Result<Decisions, AccessUnavailable> {
        let checks: Vec<_> = questions.iter().flat_map(checks).collect();
        let checked = self.check(&checks).await?;
        let mut allowed = checked.allowed.into_iter();
        let masks = questions.iter().map(|question| mask(question, &mut allowed)).collect();
        Ok(Decisions { revision: checked.revision.0, masks })
    }

    /// The mask of one viewer for one member, and the revision that it is of.
    ///
    /// # Errors
    /// As [`Access::decide`].
    pub async fn decide_one(&self, question: Question<'_>) -> Result<(Mask, Arc<str>), AccessUnavailable> {
        let Decisions { revision, masks } = self.decide(&[question]).await?;
        Ok((masks.first().copied().unwrap_or(Mask::NOTHING), revision))
    }

    /// Whether the viewer has one permission on a member, and the viewer's mask for that member: one question, at one
    /// revision. `None` for a member that does not exist, which costs as much.
    ///
    /// # Errors
    /// As [`Access::decide`].
    pub async fn may(
        &self,
        question: Question<'_>,
        permission: &str,
    ) -> Result<(bool, Mask, Arc<str>), AccessUnavailable> {
        let Question { viewer, member, .. } = question;
        let check =
            Check { resource: resource(viewer, member), permission: permission.into(), subject: subject(viewer) };
        let checks: Vec<_> = std::iter::once(check).chain(checks(&question)).collect();
        let checked = self.check(&checks).await?;
        let mut allowed = checked.allowed.into_iter();
        let may = allowed.next().unwrap_or(false) && member.is_some();
        Ok((may, mask(&question, &mut allowed), checked.revision.0))
    }

    async fn check(&self, checks: &[Check]) -> Result<Checked, AccessUnavailable> {
        let answer =
            tokio::time::timeout(self.deadline, self.relationships.check_many(Consistency::Full, checks)).await;
        let checked = answer.map_err(|_| AccessUnavailable("no answer in time".into()))?.map_err(unavailable)?;
        if checked.allowed.len() == checks.len() {
            Ok(checked)
        } else {
            Err(AccessUnavailable("not as many answers as questions".into()))
        }
    }
}

fn unavailable(error: RelationshipsError) -> AccessUnavailable {
    AccessUnavailable(error.to_string())
}

fn checks<'q>(question: &'q Question<'_>) -> impl Iterator<Item = Check> + use<'q> {
    let resource = resource(question.viewer, question.member);
    let subject = subject(question.viewer);
    permissions_for(question.viewer.purpose, question.demand).map(move |permission| Check {
        resource: resource.clone(),
        permission: permission.name.into(),
        subject: subject.clone(),
    })
}

fn resource(viewer: &Viewer, member: Option<&MemberId>) -> ObjectRef {
    ObjectRef::new("member", &viewer.tenant, member.map_or(NOBODY, MemberId::as_str))
}

fn subject(viewer: &Viewer) -> ObjectRef {
    ObjectRef::new("user", &viewer.tenant, viewer.user.as_str())
}

fn mask(question: &Question<'_>, allowed: &mut impl Iterator<Item = bool>) -> Mask {
    let asked = permissions_for(question.viewer.purpose, question.demand);
    let granted = asked.zip(allowed).filter(|(_, allowed)| *allowed);
    let mask = granted.fold(Mask::NOTHING, |mask, (permission, _)| mask.with(permission.opens()));
    if question.member.is_some() { mask } else { Mask::NOTHING }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use jiff::Timestamp;
    use sluice_schema::{
        access::{REQUEST_ELIGIBILITY_CHECK, Sensitivities, Visibilities},
        proto::privacy::{Sensitivity, Visibility},
        viewer::PurposeOfUse,
    };

    use super::*;
    use crate::relationships::{Relationship, Revision, Update};

    /// Says yes to everything, and counts what it was asked.
    #[derive(Default)]
    struct YesMan(Mutex<Vec<usize>>);

    #[async_trait]
    impl Relationships for YesMan {
        async fn check_many(&self, _: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
            self.0.lock().unwrap().push(checks.len());
            Ok(Checked { revision: Revision("1".into()), allowed: vec![true; checks.len()] })
        }

        async fn write(&self, _: Vec<Update>) -> Result<Revision, RelationshipsError> {
            Err(RelationshipsError::Invalid("not asked for here".into()))
        }

        async fn read(&self, _: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn what_does_not_exist_costs_as_many_checks_and_is_shown_to_nobody() {
        let relationships = Arc::new(YesMan::default());
        let access = Access::new(relationships.clone(), Duration::from_secs(1));
        let member: MemberId = "m-1".parse().unwrap();
        use PurposeOfUse::{Operations, PatientRequest, Payment, Treatment};
        for purpose in [PatientRequest, Treatment, Payment, Operations] {
            let (tenant, user) = ("acme".parse().unwrap(), "u-1".parse().unwrap());
            let viewer = Viewer { tenant, user, purpose, expires: Timestamp::MAX };
            let there = Question { viewer: &viewer, member: Some(&member), demand: Mask::EVERYTHING };
            let missing = Question { member: None, ..there };
            let (mask, _) = access.decide_one(there).await.unwrap();
            let (nothing, _) = access.decide_one(missing).await.unwrap();
            assert!(mask != Mask::NOTHING && nothing == Mask::NOTHING, "{purpose:?}");
            access.may(there, REQUEST_ELIGIBILITY_CHECK).await.unwrap();
            access.may(missing, REQUEST_ELIGIBILITY_CHECK).await.unwrap();
            let asked = std::mem::take(&mut *relationships.0.lock().unwrap());
            assert_eq!((asked[0], asked[2]), (asked[1], asked[3]), "{purpose:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_asked_that_the_answer_does_not_depend_on() {
        let relationships = Arc::new(YesMan::default());
        let access = Access::new(relationships.clone(), Duration::from_secs(1));
        let member: MemberId = "m-1".parse().unwrap();
        let (tenant, user) = ("acme".parse().unwrap(), "u-1".parse().unwrap());
        let viewer = Viewer { tenant, user, purpose: PurposeOfUse::Payment, expires: Timestamp::MAX };
        let staff = Mask { visibilities: Visibilities::of(Visibility::Staff), ..Mask::NOTHING };
        let hiv = Mask { sensitivities: Sensitivities::of(Sensitivity::Hiv), ..staff };
        for (demand, checks) in [(staff, 1), (hiv, 2), (Mask::EVERYTHING, 6), (Mask::NOTHING, 0)] {
            let question = Question { viewer: &viewer, member: Some(&member), demand };
            let (mask, _) = access.decide_one(question).await.unwrap();
            assert_eq!(mask, mask.within(demand), "what was not asked about stays closed");
            assert_eq!(std::mem::take(&mut *relationships.0.lock().unwrap()), [checks]);
        }
    }
}

//! What is asked, and how much.

use std::sync::Mutex;

use async_trait::async_trait;
use sluice_schema::{
    access::{REQUEST_ELIGIBILITY_CHECK, REVOKE_TOKENS, Sensitivities, Visibilities},
    proto::privacy::{Sensitivity, Visibility},
    viewer::PurposeOfUse,
};

use super::*;
use crate::relationships::{
    Checked, Embedded, NoJournal, Relationship, RelationshipsError, Revision, SCHEMA, SubjectRef, Update,
};

/// A viewer of a tenant.
fn viewer(tenant: &str, purpose: PurposeOfUse) -> Viewer {
    let (tenant, user) = (tenant.parse().unwrap(), "u-1".parse().unwrap());
    Viewer { tenant, user, actor: None, purpose, expires: Timestamp::MAX.into(), token: Default::default() }
}

#[tokio::test]
async fn what_does_not_exist_costs_as_many_checks_and_is_shown_to_nobody() {
    let relationships = Arc::new(Granted::default());
    let access = Access::new(relationships.clone(), Duration::from_secs(1));
    let member: MemberId = "m-1".parse().unwrap();
    use PurposeOfUse::{Operations, PatientRequest, Payment, Treatment};
    for purpose in [PatientRequest, Treatment, Payment, Operations] {
        let viewer = viewer("acme", purpose);
        let there = Question { viewer: &viewer, member: Some(&member), demand: Mask::EVERYTHING };
        let missing = Question { member: None, ..there };
        let mask = only(access.decide_for(&[there]).await.unwrap()).mask;
        let nothing = only(access.decide_for(&[missing]).await.unwrap()).mask;
        assert!(mask != Mask::NOTHING && nothing == Mask::NOTHING, "{purpose:?}");
        access.may(there, REQUEST_ELIGIBILITY_CHECK).await.unwrap();
        access.may(missing, REQUEST_ELIGIBILITY_CHECK).await.unwrap();
        let asked = std::mem::take(&mut *relationships.1.lock().unwrap());
        assert_eq!((asked[0], asked[2]), (asked[1], asked[3]), "{purpose:?}");
    }
}

#[tokio::test]
async fn nothing_is_asked_that_the_answer_does_not_depend_on() {
    let relationships = Arc::new(Granted::default());
    let access = Access::new(relationships.clone(), Duration::from_secs(1));
    let member: MemberId = "m-1".parse().unwrap();
    let viewer = viewer("acme", PurposeOfUse::Payment);
    let staff = Mask { visibilities: Visibilities::of(Visibility::Staff), ..Mask::NOTHING };
    let hiv = Mask { sensitivities: Sensitivities::of(Sensitivity::Hiv), ..staff };
    for (demand, checks) in [(staff, 1), (hiv, 2), (Mask::EVERYTHING, 6), (Mask::NOTHING, 0)] {
        let question = Question { viewer: &viewer, member: Some(&member), demand };
        let mask = only(access.decide_for(&[question]).await.unwrap()).mask;
        assert_eq!(mask, mask.within(demand), "what was not asked about stays closed");
        assert_eq!(std::mem::take(&mut *relationships.1.lock().unwrap()), [checks]);
    }
}

/// Says yes to these, and counts what it was asked; none: to everything.
#[derive(Default)]
struct Granted(Option<&'static [&'static str]>, Mutex<Vec<usize>>);

#[async_trait]
impl Relationships for Granted {
    async fn check_many(&self, _: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        let mut asked = self.1.lock().unwrap();
        asked.push(checks.len());
        let is_granted = |check: &Check| self.0.is_none_or(|granted| granted.contains(&&*check.permission));
        let allowed = checks.iter().map(is_granted).collect();
        let revision = Revision(asked.len().to_string().into());
        Ok(Checked { revision, allowed, until: vec![None; checks.len()] })
    }

    async fn write(&self, _: Vec<Update>) -> Result<Revision, RelationshipsError> {
        Err(RelationshipsError::Invalid("not asked for here".into()))
    }

    async fn read(&self, _: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError> {
        Ok(Vec::new())
    }
}

/// A member sees all that families see: whether she is family as well is not asked.
#[tokio::test]
async fn who_sees_it_as_the_member_is_not_asked_about_as_family() {
    let family = Visibilities::of(Visibility::FamilyCoverage).with(Visibilities::of(Visibility::FamilyCare));
    let demand = Mask { visibilities: Visibilities::of(Visibility::Member).with(family), ..Mask::NOTHING };
    let cases: [(&[&str], &[usize], Visibilities); 4] = [
        (&["see_as_member", "see_coverage_as_family"], &[1], Visibilities::of(Visibility::Member)),
        (&["see_coverage_as_family"], &[1, 2], Visibilities::of(Visibility::FamilyCoverage)),
        (&["see_coverage_as_family", "see_care_as_family"], &[1, 2], family),
        (&[], &[1, 2], Visibilities::NONE),
    ];
    for (granted, rounds, visibilities) in cases {
        let relationships = Arc::new(Granted(Some(granted), Mutex::default()));
        let access = Access::new(relationships.clone(), Duration::from_secs(1));
        let (viewer, member) = (viewer("acme", PurposeOfUse::PatientRequest), "m-1".parse().unwrap());
        let question = Question { viewer: &viewer, member: Some(&member), demand };
        let decided = only(access.decide(&[question]).await.unwrap());
        assert_eq!((decided.mask.visibilities, &*relationships.1.lock().unwrap()), (visibilities, &rounds.to_vec()));
        assert_eq!(&*decided.revision, "1", "of both");
    }
}

/// Family becomes a representative: at each instant she may see something.
#[tokio::test]
async fn a_decision_is_by_one_state_and_never_put_together_from_two() {
    let viewer = viewer("acme", PurposeOfUse::PatientRequest);
    let relation = |relation: &str| Relationship {
        resource: ObjectRef::new("member", &viewer.tenant, "m-1"),
        relation: relation.into(),
        subject: SubjectRef { object: ObjectRef::new("user", &viewer.tenant, "u-1"), relation: None },
        expires: None,
    };
    let embedded = Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.unwrap();
    embedded.write(vec![Update::Touch(relation("family"))]).await.unwrap();
    let becomes = vec![Update::Delete(relation("family")), Update::Touch(relation("personal_representative"))];
    let relationships = Arc::new(Counted { meanwhile: Mutex::new(becomes), ..Counted::over(embedded) });
    let access = Access::new(relationships.clone(), Duration::from_secs(1));
    let visibilities = Visibilities::of(Visibility::Member).with(Visibilities::of(Visibility::FamilyCoverage));
    let member = "m-1".parse().unwrap();
    let question = Question { viewer: &viewer, member: Some(&member), demand: Mask { visibilities, ..Mask::NOTHING } };
    let decided = only(access.decide_for(&[question]).await.unwrap());
    assert_eq!(decided.mask.visibilities, Visibilities::of(Visibility::Member));
    let asked = std::mem::take(&mut *relationships.asked.lock().unwrap());
    assert!(matches!(&asked[..], [Consistency::Full, Consistency::At(_), Consistency::Full]), "{asked:?}");
    assert_eq!(only(access.decide_for(&[question]).await.unwrap()).revision, decided.revision);
}

#[tokio::test]
async fn what_goes_for_a_tenant_is_asked_anew_each_time() {
    let embedded = Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.unwrap();
    let relationships: Arc<dyn Relationships> = Arc::new(embedded);
    let access = Access::new(relationships.clone(), Duration::from_secs(1));
    let (hers, other) = (viewer("acme", PurposeOfUse::Operations), viewer("birch", PurposeOfUse::Operations));
    let security = Relationship {
        resource: ObjectRef::new("tenant", &hers.tenant, "acme"),
        relation: "security".into(),
        subject: SubjectRef { object: ObjectRef::new("user", &hers.tenant, "u-1"), relation: None },
        expires: None,
    };
    for update in [Update::Touch, Update::Delete] {
        let expected = matches!(update(security.clone()), Update::Touch(_));
        relationships.write(vec![update(security.clone())]).await.unwrap();
        assert_eq!(access.has(&hers, ("tenant", "acme"), REVOKE_TOKENS).await.unwrap(), expected);
        assert!(!access.has(&other, ("tenant", "acme"), REVOKE_TOKENS).await.unwrap(), "it is another tenant's");
    }
}

/// Counts who asks how, of an evaluator that tells of every change.
struct Counted {
    embedded: Embedded,
    /// Written before anything is asked at a revision.
    meanwhile: Mutex<Vec<Update>>,
    asked: Mutex<Vec<Consistency>>,
}

impl Counted {
    fn over(embedded: Embedded) -> Self {
        Self { embedded, meanwhile: Mutex::default(), asked: Mutex::default() }
    }
}

#[async_trait]
impl Relationships for Counted {
    async fn check_many(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        if let Consistency::At(_) = consistency {
            let meanwhile = std::mem::take(&mut *self.meanwhile.lock().unwrap());
            if !meanwhile.is_empty() {
                self.embedded.write(meanwhile).await?;
            }
        }
        self.asked.lock().unwrap().push(consistency.clone());
        self.embedded.check_many(consistency, checks).await
    }

    async fn write(&self, updates: Vec<Update>) -> Result<Revision, RelationshipsError> {
        self.embedded.write(updates).await
    }

    async fn read(&self, resource: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError> {
        self.embedded.read(resource).await
    }

    fn follow(&self, heed: Weak<dyn crate::relationships::Heed>) {
        self.embedded.follow(heed);
    }
}

#[tokio::test]
async fn what_is_strict_is_asked_about_each_time_and_never_kept() {
    let embedded = Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.unwrap();
    let relationships = Arc::new(Counted::over(embedded));
    let access = Access::new(relationships.clone(), Duration::from_secs(1));
    let viewer = viewer("acme", PurposeOfUse::PatientRequest);
    let herself = Relationship {
        resource: ObjectRef::new("member", &viewer.tenant, "m-1"),
        relation: "self".into(),
        subject: SubjectRef { object: ObjectRef::new("user", &viewer.tenant, "u-1"), relation: None },
        expires: None,
    };
    relationships.write(vec![Update::Touch(herself)]).await.unwrap();
    let member: MemberId = "m-1".parse().unwrap();
    let plain = Mask { visibilities: Visibilities::of(Visibility::Member), ..Mask::NOTHING };
    let strict =
        Mask { sensitivities: Sensitivities::of(Sensitivity::SubstanceUse).with(Sensitivities::STRICT), ..plain };
    for (demand, asked) in [
        (strict, Some(Consistency::Full)),
        (strict, Some(Consistency::Full)),
        // What of it may be kept answers this.
        (plain, None),
        (strict, Some(Consistency::Full)),
    ] {
        let question = Question { viewer: &viewer, member: Some(&member), demand };
        assert_eq!(only(access.decide(&[question]).await.unwrap()).mask, demand);
        assert_eq!(std::mem::take(&mut *relationships.asked.lock().unwrap()), asked.into_iter().collect::<Vec<_>>());
        let last = LastDecision::default();
        let kept = access.kept(Timestamp::now()).get(&question, &last);
        assert_eq!(kept.is_some(), demand == plain, "nothing strict is served from what was decided before");
    }
}

fn only(decided: Vec<Decided>) -> Decided {
    <[Decided; 1]>::try_from(decided).expect("one answer to one question").into_iter().next().expect("one")
}

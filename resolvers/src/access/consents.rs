//! Consents: the sensitivity classes that a member opens to somebody.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use sluice_schema::{access::SHARE, graphql::DateTime, ids::MemberId, viewer::PurposeOfUse};
use sluice_subscriptions::relationships::{Relationship, Update};

use super::{Change, Grantee, until};
use crate::scope::parse_id;

#[derive(Default)]
pub(crate) struct ConsentsMutation;

#[Object]
impl ConsentsMutation {
    /// Opens a sensitivity class of a member to a person or a whole care team, or closes it. It opens nothing by itself: who
    /// has it open sees of the class what she may see of the rest. The member says so, or whoever stands in her place
    /// (`PATRQT`); running streams show it with their next event. Nobody opens anything to herself, or in the member's place to
    /// a care team that she is on. Where the right of one who opens it in her place is to end, it closes then at the latest:
    /// `until` tells.
    async fn set_consent(&self, ctx: &Context<'_>, input: SetConsentInput) -> Result<Consent> {
        let SetConsentInput { member_id, class, user_id, care_team_id, open, until: end } = input;
        let member: MemberId = parse_id(&member_id, "input.memberId")?;
        let to = Grantee::of(user_id.as_ref(), care_team_id.as_ref())?;
        let expires = until(end)?;
        let permission = [(PurposeOfUse::PatientRequest, SHARE)];
        let change = Change::of_member(ctx, "set_consent", &member, &permission).await?;
        let expires = if open { change.consents(&member, &to, expires).await? } else { None };
        let relationship = Relationship {
            resource: change.object("member", member.as_str()),
            relation: class.relation().into(),
            subject: to.treating(&change.scope.viewer.tenant),
            expires,
        };
        let update = if open { Update::Touch(relationship) } else { Update::Delete(relationship) };
        change.write(vec![update]).await?;
        let until = expires.map(DateTime);
        Ok(Consent { member_id, class, user_id: to.user(), care_team_id: to.care_team(), open, until })
    }
}

/// What the law protects beyond HIPAA's minimum.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SensitivityClass {
    BehavioralHealth,
    /// Substance use treatment records (42 CFR Part 2).
    SubstanceUse,
    Hiv,
    Reproductive,
    Genetic,
}

impl SensitivityClass {
    const fn relation(self) -> &'static str {
        match self {
            Self::BehavioralHealth => "consent_behavioral_health",
            Self::SubstanceUse => "consent_substance_use",
            Self::Hiv => "consent_hiv",
            Self::Reproductive => "consent_reproductive",
            Self::Genetic => "consent_genetic",
        }
    }
}

#[derive(InputObject)]
pub(crate) struct SetConsentInput {
    member_id: ID,
    class: SensitivityClass,
    /// The person: the `sub` of her tokens.
    user_id: Option<ID>,
    /// Everybody who treats the members of this care team, whoever that is at the time.
    care_team_id: Option<ID>,
    open: bool,
    /// From then on it is closed again.
    until: Option<DateTime>,
}

/// A consent, as it is after the mutation.
#[derive(SimpleObject)]
pub(crate) struct Consent {
    member_id: ID,
    class: SensitivityClass,
    user_id: Option<ID>,
    care_team_id: Option<ID>,
    open: bool,
    until: Option<DateTime>,
}

//! Inputs, as clients send them. They are parsed in the domain.

use async_graphql::{ID, InputObject};
use sluice_domain::eligibility::input::{ProviderInput as RawProvider, RequestInput, SubscriberInput as RawSubscriber};
use sluice_schema::graphql::Date;

/// A question to a payer about a member's coverage (X12 270).
#[derive(InputObject)]
pub(crate) struct RequestEligibilityCheckInput {
    /// The member whom the check is about: the opaque id, not the number on the insurance card.
    pub(crate) member_id: ID,
    /// The payer, by the clearinghouse's payer id.
    payer_id: ID,
    provider: ProviderInput,
    subscriber: SubscriberInput,
    /// X12 service type codes; "30" is the plan's benefits in general.
    #[graphql(default_with = "vec![\"30\".to_owned()]")]
    service_type_codes: Vec<String>,
    /// The day of the visit; today where it is left out.
    date_of_service: Option<Date>,
}

/// The provider in whose name the payer is asked.
#[derive(InputObject)]
struct ProviderInput {
    /// National Provider Identifier: ten digits, the last one a check digit.
    npi: String,
    organization_name: String,
}

/// The person who holds the policy, as the payer knows her.
#[derive(InputObject)]
struct SubscriberInput {
    /// The number on the insurance card.
    member_id: String,
    first_name: String,
    last_name: String,
    date_of_birth: Date,
}

impl From<RequestEligibilityCheckInput> for RequestInput {
    fn from(input: RequestEligibilityCheckInput) -> Self {
        let RequestEligibilityCheckInput {
            member_id,
            payer_id,
            provider,
            subscriber,
            service_type_codes,
            date_of_service,
        } = input;
        Self {
            member_id: member_id.0,
            payer_id: payer_id.0,
            provider: RawProvider { npi: provider.npi, organization_name: provider.organization_name },
            subscriber: RawSubscriber {
                member_id: subscriber.member_id,
                first_name: subscriber.first_name,
                last_name: subscriber.last_name,
                date_of_birth: subscriber.date_of_birth.0.to_string(),
            },
            service_type_codes,
            date_of_service: date_of_service.map(|date| date.0.to_string()),
        }
    }
}

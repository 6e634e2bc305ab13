//! The edge: texts that someone sent become a question that is valid by construction, or a refusal that says where.

use std::str::FromStr;

use jiff::{ToSpan, civil::Date};
use sluice_schema::{
    error::{ClientError, Code},
    ids::{CheckId, Npi, PayerId, UserId},
    proto::eligibility::{Provider, Subscriber},
};

use super::{aggregate::RequestEligibilityCheck, payer::Payer, service_types};
use crate::text::text;

/// `RequestEligibilityCheckInput`, as sent. Holds PHI and therefore has no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RequestInput {
    pub member_id: String,
    pub payer_id: String,
    pub provider: ProviderInput,
    pub subscriber: SubscriberInput,
    pub service_type_codes: Vec<String>,
    /// ISO 8601.
    pub date_of_service: Option<String>,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProviderInput {
    pub npi: String,
    pub organization_name: String,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub struct SubscriberInput {
    /// The number on the insurance card.
    pub member_id: String,
    pub first_name: String,
    pub last_name: String,
    /// ISO 8601.
    pub date_of_birth: String,
}

/// What X12 allows: NM103 and NM104, NM109.
const NAME_CHARS: usize = 60;
const CARD_NUMBER_CHARS: usize = 80;
const SERVICE_TYPES: usize = 99;
const FIRST_BIRTH: Date = Date::constant(1900, 1, 1);

/// Parses `input` into a question of `by`, under a new id. `today` is the day in UTC.
pub fn parse(
    input: &RequestInput,
    by: &UserId,
    payer: &dyn Payer,
    today: Date,
) -> Result<RequestEligibilityCheck, ClientError> {
    Ok(RequestEligibilityCheck {
        check: CheckId::generate(),
        member: id(&input.member_id, "input.memberId")?,
        payer: known_payer(&input.payer_id, payer)?,
        provider: provider(&input.provider)?,
        subscriber: subscriber(&input.subscriber, today)?,
        service_type_codes: service_type_codes(&input.service_type_codes)?,
        date_of_service: input.date_of_service.as_deref().map(|text| date_of_service(text, today)).transpose()?,
        requested_by: by.clone(),
    })
}

/// A client's idempotency key: 1 to 255 visible ASCII characters.
pub fn idempotency_key(text: &str) -> Result<&str, ClientError> {
    if (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text);
    }
    let message = "An idempotency key is 1 to 255 visible ASCII characters; a UUID does well.";
    Err(ClientError::new(Code::InvalidIdempotencyKey, message).at("idempotencyKey"))
}

/// Any opaque id; `field` is the argument's path.
pub fn id<T: FromStr<Err = sluice_schema::ids::InvalidId>>(text: &str, field: &str) -> Result<T, ClientError> {
    text.parse().map_err(|error: T::Err| ClientError::new(Code::InvalidId, capital(&error.to_string())).at(field))
}

fn known_payer(text: &str, payer: &dyn Payer) -> Result<PayerId, ClientError> {
    let id = text.parse().ok().filter(|id| payer.knows(id));
    id.ok_or_else(|| {
        let message = "The clearinghouse does not reach a payer with this id. Look the id up in its payer list.";
        ClientError::new(Code::UnknownPayer, message).at("input.payerId")
    })
}

fn provider(input: &ProviderInput) -> Result<Provider, ClientError> {
    let field = "input.provider.npi";
    let npi: Npi = input
        .npi
        .parse()
        .map_err(|error| ClientError::new(Code::InvalidNpi, capital(&format!("{error}"))).at(field))?;
    let name = text(&input.organization_name, NAME_CHARS, "input.provider.organizationName")?;
    Ok(Provider { npi: Some(npi.as_str().into()), organization_name: Some(name) })
}

fn subscriber(input: &SubscriberInput, today: Date) -> Result<Subscriber, ClientError> {
    Ok(Subscriber {
        member_id: Some(text(&input.member_id, CARD_NUMBER_CHARS, "input.subscriber.memberId")?),
        first_name: Some(text(&input.first_name, NAME_CHARS, "input.subscriber.firstName")?),
        last_name: Some(text(&input.last_name, NAME_CHARS, "input.subscriber.lastName")?),
        date_of_birth: Some(date_of_birth(&input.date_of_birth, today)?),
    })
}

fn service_type_codes(codes: &[String]) -> Result<Vec<String>, ClientError> {
    let field = "input.serviceTypeCodes";
    if codes.len() > SERVICE_TYPES {
        let message = format!("A check asks about {SERVICE_TYPES} service types at most.");
        return Err(ClientError::new(Code::LimitExceeded, message).at(field));
    }
    if codes.is_empty() {
        let message = "Name one service type code at least; 30 asks about the plan's coverage in general.";
        return Err(ClientError::new(Code::UnknownServiceType, message).at(field));
    }
    let mut distinct: Vec<String> = Vec::with_capacity(codes.len());
    for (i, code) in codes.iter().enumerate() {
        if !service_types::is_known(code) {
            let message = "This is no service type code of X12 005010X279A1, such as 30, 98 or MH.";
            return Err(ClientError::new(Code::UnknownServiceType, message).at(&format!("{field}.{i}")));
        }
        if !distinct.contains(code) {
            distinct.push(code.clone());
        }
    }
    Ok(distinct)
}

fn date_of_birth(text: &str, today: Date) -> Result<String, ClientError> {
    let field = "input.subscriber.dateOfBirth";
    let born = date(text, field)?;
    // Somewhere on earth it is tomorrow already.
    if born < FIRST_BIRTH || born > today.saturating_add(1.day()) {
        let message = "A date of birth is 1900-01-01 or later and not in the future.";
        return Err(ClientError::new(Code::InvalidDate, message).at(field));
    }
    Ok(born.to_string())
}

fn date_of_service(text: &str, today: Date) -> Result<String, ClientError> {
    let field = "input.dateOfService";
    let served = date(text, field)?;
    if served < today.saturating_sub(2.years()) || served > today.saturating_add(1.year()) {
        let message = "A date of service is at most two years back and one year ahead.";
        return Err(ClientError::new(Code::InvalidDate, message).at(field));
    }
    Ok(served.to_string())
}

fn date(text: &str, field: &str) -> Result<Date, ClientError> {
    // jiff takes more forms than this one.
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    date.ok_or_else(|| ClientError::new(Code::InvalidDate, "A date is written YYYY-MM-DD and must exist.").at(field))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).chain(['.']).collect()).unwrap_or_default()
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;

//! Stedi's eligibility answers: the JSON of its v3 endpoint (`/change/medicalnetwork/eligibility/v3`), in Sluice's terms.
//!
//! Payers send values off every list, numbers for texts, and fields that nobody documented; what is not understood is left
//! out, and only an answer with neither benefits nor errors is unreadable.

mod aaa;
mod cost_share;
mod coverage;
mod decimal;
mod json;
mod sensitive;

use serde_json::Value;
use sluice_domain::eligibility::payer::{PayerAnswer, PayerError};

use self::json::Json;

/// Reads the body of an answer with status 200 or 400.
///
/// An answer that says whether the plan is active is a coverage, whatever errors stand beside it. AAA 42 and 80 mean that
/// asking again may help: [`PayerError::Unavailable`] with what the payer said.
pub fn decode(body: &[u8]) -> Result<PayerAnswer, PayerError> {
    let response: Value = serde_json::from_slice(body).map_err(|_| unreadable("the body is not JSON"))?;
    if !response.is_object() {
        return Err(unreadable("the body is not a JSON object"));
    }
    let rejections = aaa::read(&response);
    let has_benefits = ["benefitsInformation", "planStatus"].iter().any(|key| !response.items(key).is_empty());
    if has_benefits {
        let coverage = coverage::read(&response);
        if coverage.active.is_some() || rejections.is_empty() {
            return Ok(PayerAnswer::Coverage(Box::new(coverage)));
        }
    }
    if rejections.is_empty() {
        return Err(unreadable("neither benefitsInformation nor errors"));
    }
    if rejections.iter().any(aaa::is_transient) {
        return Err(PayerError::Unavailable(rejections));
    }
    Ok(PayerAnswer::Rejected(rejections))
}

fn unreadable(place: &str) -> PayerError {
    PayerError::Unreadable(place.into())
}

#[cfg(test)]
mod tests;

//! Whom to ask: the port to a clearinghouse.

use async_trait::async_trait;
use sluice_schema::{
    ids::{CheckId, PayerId},
    proto::eligibility::{Coverage, Provider, Rejection, Subscriber},
};

/// A 270 in Sluice's terms.
#[derive(Debug, Clone, PartialEq)]
pub struct PayerRequest {
    pub check: CheckId,
    pub payer: PayerId,
    pub provider: Provider,
    pub subscriber: Subscriber,
    /// X12 service type codes, at least one.
    pub service_type_codes: Vec<String>,
    /// ISO 8601; today where there is none.
    pub date_of_service: Option<String>,
}

/// A 271 in Sluice's terms.
#[derive(Debug, Clone, PartialEq)]
pub enum PayerAnswer {
    Coverage(Box<Coverage>),
    /// AAA segments; at least one.
    Rejected(Vec<Rejection>),
}

#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PayerError {
    /// No answer now (AAA 42, 80, HTTP 429, 5xx, no connection): asking again may help. Holds the AAA segments if the payer
    /// itself said so.
    #[error("the payer can't answer now")]
    Unavailable(Vec<Rejection>),
    /// An answer that is not of the documented form. The text says where, without values.
    #[error("the payer's answer can't be read: {0}")]
    Unreadable(String),
}

/// A clearinghouse that forwards eligibility questions to payers.
///
/// - One call is one question; it may take a minute and more, and the caller sets the deadline.
/// - Dropping the future abandons the question; the payer may have seen it. Asking again is harmless: a 270 changes nothing.
#[async_trait]
pub trait Payer: Send + Sync {
    /// Whether the clearinghouse reaches this payer.
    fn knows(&self, payer: &PayerId) -> bool;

    async fn check(&self, request: &PayerRequest) -> Result<PayerAnswer, PayerError>;
}

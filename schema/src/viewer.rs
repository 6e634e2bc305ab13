//! Who is looking.

use jiff::Timestamp;

use crate::{
    ids::{TenantId, UserId},
    token::Token,
};

/// A person or service, as her token names her. All that counts for access is in here; nothing of identity is read from
/// anywhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    pub tenant: TenantId,
    pub user: UserId,
    pub purpose: PurposeOfUse,
    /// When the token ends (`exp`), and every live stream with it.
    pub expires: Timestamp,
    /// Which of her tokens it is.
    pub token: Token,
}

/// Why someone looks: HL7 v3 PurposeOfUse (2.16.840.1.113883.1.11.20448), the codes that Sluice knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum PurposeOfUse {
    /// Treatment.
    #[serde(rename = "TREAT")]
    Treatment,
    /// Healthcare payment.
    #[serde(rename = "HPAYMT")]
    Payment,
    /// Healthcare operations.
    #[serde(rename = "HOPERAT")]
    Operations,
    /// The patient asks, or one who may ask for her.
    #[serde(rename = "PATRQT")]
    PatientRequest,
}

impl PurposeOfUse {
    pub fn code(self) -> &'static str {
        match self {
            Self::Treatment => "TREAT",
            Self::Payment => "HPAYMT",
            Self::Operations => "HOPERAT",
            Self::PatientRequest => "PATRQT",
        }
    }
}

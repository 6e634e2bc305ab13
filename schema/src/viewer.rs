//! Who is looking.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

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
    /// For whom everything is done, and by whose rights: `sub`.
    pub user: UserId,
    /// Who acts for the user, where it is not herself: the `sub` of `act` (RFC 8693, section 4.1). It gives no right and takes none;
    /// the audit trail tells it.
    pub actor: Option<UserId>,
    pub purpose: PurposeOfUse,
    /// When the token ends (`exp`), and every live stream with it.
    pub expires: Expiry,
    /// Which of her tokens it is.
    pub token: Token,
}

impl Viewer {
    /// Whether this is the same person, of the same tenant, for the same purpose, and the same who acts for her.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.tenant, &self.user, &self.actor, self.purpose)
            == (&other.tenant, &other.user, &other.actor, other.purpose)
    }

    /// Whose token it is: the user, and who acts for her.
    pub fn people(&self) -> impl Iterator<Item = &UserId> {
        std::iter::once(&self.user).chain(&self.actor)
    }
}

/// When a viewer's token ends. Clones share it: where a live connection is given a newer token, the end moves for all that
/// runs there.
#[derive(Clone)]
pub struct Expiry(Arc<AtomicI64>);

impl Expiry {
    /// Cut to whole microseconds.
    pub fn at(&self) -> Timestamp {
        // Of the last second, `Timestamp::from_microsecond` takes only the beginning.
        let microseconds = self.0.load(Ordering::Relaxed);
        let (second, rest) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
        // What is no time has ended.
        Timestamp::new(second, rest as i32 * 1_000).unwrap_or(Timestamp::MIN)
    }

    pub fn renew(&self, until: Timestamp) {
        self.0.store(microseconds(until), Ordering::Relaxed);
    }
}

impl From<Timestamp> for Expiry {
    fn from(at: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(microseconds(at))))
    }
}

fn microseconds(at: Timestamp) -> i64 {
    at.as_second() * 1_000_000 + i64::from(at.subsec_nanosecond() / 1_000)
}

impl PartialEq for Expiry {
    fn eq(&self, other: &Self) -> bool {
        self.at() == other.at()
    }
}

impl Eq for Expiry {}

impl fmt::Debug for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.at(), f)
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_renewal_moves_the_end_of_every_clone() {
        let viewer = Viewer {
            tenant: "north".parse().unwrap(),
            user: "nora".parse().unwrap(),
            actor: None,
            purpose: PurposeOfUse::Treatment,
            expires: Timestamp::UNIX_EPOCH.into(),
            token: Token::default(),
        };
        let running = viewer.clone();
        for until in [Timestamp::MAX, Timestamp::MIN] {
            viewer.expires.renew(until);
            let difference = running.expires.at().duration_since(until).unsigned_abs();
            assert!(difference < Duration::from_micros(1), "{difference:?}");
        }
        let other = Viewer { expires: Timestamp::MAX.into(), ..viewer.clone() };
        assert!(viewer.is_same(&other) && viewer != other);
        assert!(!viewer.is_same(&Viewer { purpose: PurposeOfUse::Payment, ..viewer.clone() }));
        assert!(!viewer.is_same(&Viewer { actor: Some("agent".parse().unwrap()), ..viewer.clone() }));
    }
}

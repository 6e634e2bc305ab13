//! Identifiers, parsed once at the edge. None of them carries PHI: a [`MemberId`] is opaque, and the number on an
//! insurance card is a field of an event, never an id.

use std::{fmt, str::FromStr, sync::Arc};

use uuid::Uuid;

/// Why a text is not an identifier. The text itself is not repeated: someone may have pasted a name or card number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {max} characters of A-Z, a-z, 0-9, {extra}")]
pub struct InvalidId {
    pub what: &'static str,
    max: usize,
    extra: &'static str,
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let fits = !text.is_empty()
                    && text.len() <= $max
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || $extra.as_bytes().contains(&b));
                if fits {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { what: $what, max: $max, extra: $extra })
                }
            }
        }

        /// The text, shared.
        impl From<&$name> for Arc<str> {
            fn from(id: &$name) -> Self {
                id.0.clone()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

opaque_id! {
    /// An organization that runs on this Sluice. Comes only from a token, never from a request.
    TenantId, "a tenant id", 64, "_-"
}
opaque_id! {
    /// A member (patient) of a tenant: opaque.
    MemberId, "a member id", 64, "_-"
}
opaque_id! {
    /// A person or service that signs in: the token's `sub`.
    UserId, "a user id", 128, "_-|=+"
}
opaque_id! {
    /// A care team of a tenant.
    CareTeamId, "a care team id", 64, "_-"
}
opaque_id! {
    /// A durable subscription, named by its client. It may stand in a URL, so a client puts no person's name in it.
    SubscriptionName, "a subscription name", 128, "-._~"
}
opaque_id! {
    /// One eligibility check.
    CheckId, "an eligibility check id", 64, "_-"
}
opaque_id! {
    /// A payer, by the clearinghouse's id for it.
    PayerId, "a payer id", 32, "_-"
}

impl CheckId {
    /// A new id; ids made later sort later.
    pub fn generate() -> Self {
        Self(format!("ec-{}", Uuid::now_v7().simple()).into())
    }
}

/// A new event id: UUIDv7, text form.
pub fn new_event_id() -> String {
    Uuid::now_v7().to_string()
}

/// A National Provider Identifier: ten digits, the last of them a Luhn check digit over `80840` + the first nine
/// (45 CFR 162.406; ISO/IEC 7812).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Npi(Arc<str>);

/// Why a text is not an NPI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNpi {
    #[error("an NPI has ten digits")]
    Shape,
    #[error("the NPI's check digit does not match: look for a mistyped digit")]
    CheckDigit,
}

impl Npi {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Npi {
    type Err = InvalidNpi;

    fn from_str(text: &str) -> Result<Self, InvalidNpi> {
        if text.len() != 10 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidNpi::Shape);
        }
        if luhn_sum(text).is_multiple_of(10) { Ok(Self(text.into())) } else { Err(InvalidNpi::CheckDigit) }
    }
}

/// Luhn over the ten digits, plus 24, which is what the prefix 80840 adds.
fn luhn_sum(digits: &str) -> u32 {
    let doubled = |d: u32| if d > 4 { 2 * d - 9 } else { 2 * d };
    let digit = |b: u8| u32::from(b - b'0');
    digits.bytes().rev().enumerate().map(|(i, b)| if i % 2 == 1 { doubled(digit(b)) } else { digit(b) }).sum::<u32>()
        + 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_npi_needs_ten_digits_and_its_check_digit() {
        assert!("1234567893".parse::<Npi>().is_ok(), "the example of the NPI standard");
        assert_eq!("1234567890".parse::<Npi>(), Err(InvalidNpi::CheckDigit));
        assert_eq!("123456789".parse::<Npi>(), Err(InvalidNpi::Shape));
        assert_eq!("12345678９3".parse::<Npi>(), Err(InvalidNpi::Shape));
    }

    #[test]
    fn an_id_error_does_not_repeat_what_was_typed() {
        let error = "Doe, Jane".parse::<MemberId>().expect_err("has a comma and a space");
        assert!(!error.to_string().contains("Jane"));
    }

    #[test]
    fn check_ids_sort_by_time() {
        let first = CheckId::generate();
        let second = CheckId::generate();
        assert!(first < second);
    }
}

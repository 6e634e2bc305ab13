//! A revocation as a row of either database.

use jiff::Timestamp;
use sluice_schema::token::TokenId;
use sluice_subscriptions::revocations::{Revocation, Revoked};

/// `place`, `tenant`, `token`, the user, `issued_until` and `kept_until`, times in seconds since the epoch.
pub(crate) type Row = (i64, String, Option<Vec<u8>>, Option<String>, Option<i64>, i64);

/// What is bound for the token, the user and `issued_until`.
pub(crate) fn columns(revoked: &Revoked) -> (Option<&[u8]>, Option<&str>, Option<i64>) {
    match revoked {
        Revoked::Token(id) => (Some(id.as_bytes()), None, None),
        Revoked::User { user, issued_until } => (None, Some(user.as_str()), Some(issued_until.as_second())),
    }
}

/// `None`: the row is damaged.
pub(crate) fn read((place, tenant, token, user, issued_until, kept_until): Row) -> Option<(u64, Revocation)> {
    let second = |second| Timestamp::from_second(second).ok();
    let revoked = match (token, user, issued_until) {
        (Some(token), None, None) => Revoked::Token(TokenId::from_bytes(&token)?),
        (None, Some(user), Some(until)) => Revoked::User { user: user.parse().ok()?, issued_until: second(until)? },
        _ => return None,
    };
    let revocation = Revocation { tenant: tenant.parse().ok()?, revoked, kept_until: second(kept_until)? };
    Some((u64::try_from(place).ok()?, revocation))
}

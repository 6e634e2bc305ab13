use jiff::Timestamp;
use sluice_schema::{
    ids::{TenantId, UserId},
    token::{Token, TokenId},
    viewer::{PurposeOfUse, Viewer},
};

use super::{refusal::Refusal, verifier::TokenRules};

/// The claims that every token must carry: those of RFC 7519, section 4.1, and two of ours; `jti` and `iat` it may carry.
#[derive(serde::Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Audience,
    sub: UserId,
    exp: f64,
    nbf: f64,
    jti: Option<TokenId>,
    iat: Option<f64>,
    tenant: TenantId,
    purpose_of_use: PurposeOfUse,
}

/// RFC 7519, section 4.1.3: one name or several.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(name) => name == audience,
            Self::Several(names) => names.iter().any(|name| name == audience),
        }
    }
}

impl Claims {
    /// Who this is, if the claims hold at `now`.
    pub(super) fn viewer(self, rules: &TokenRules, now: Timestamp) -> Result<Viewer, Refusal> {
        if self.iss != rules.issuer {
            return Err(Refusal::Issuer);
        }
        if !self.aud.names(&rules.audience) {
            return Err(Refusal::Audience);
        }
        let (now, leeway) = (now.as_duration().as_secs_f64(), rules.leeway.as_secs_f64());
        if self.nbf > now + leeway {
            return Err(Refusal::NotYetValid);
        }
        if self.exp <= now - leeway {
            return Err(Refusal::Expired);
        }
        // Otherwise it could lie behind a revocation that it was issued before.
        if self.iat.is_some_and(|iat| iat > now + leeway) {
            return Err(Refusal::NotYetValid);
        }
        let expires = instant(self.exp)?;
        if self.exp - self.iat.unwrap_or(self.nbf) > rules.max_lifetime.as_secs_f64() {
            return Err(Refusal::Lifetime);
        }
        let token = Token { id: self.jti, issued: self.iat.map(instant).transpose()?.unwrap_or_default() };
        Ok(Viewer { tenant: self.tenant, user: self.sub, purpose: self.purpose_of_use, expires: expires.into(), token })
    }
}

/// A NumericDate (RFC 7519, section 2), which may have a fraction; cut to whole seconds.
fn instant(date: f64) -> Result<Timestamp, Refusal> {
    // The comparison is false for NaN. The bound is jiff's, and a double holds it exactly.
    if date >= 0.0 && date <= Timestamp::MAX.as_second() as f64 {
        Timestamp::from_second(date as i64).map_err(|_| Refusal::Claims)
    } else {
        Err(Refusal::Claims)
    }
}

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use sluice_schema::{
    ids::{TenantId, UserId},
    token::{Token, TokenId},
    viewer::{PurposeOfUse, Viewer},
};

use super::{refusal::Refusal, verifier::TokenRules};

/// The claims that every token must carry: those of RFC 7519, section 4.1, and two of ours; `jti`, `iat` and `act` it may carry.
#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Audience,
    sub: UserId,
    #[serde(default, deserialize_with = "there")]
    act: Option<Actor>,
    exp: f64,
    nbf: f64,
    jti: Option<TokenId>,
    iat: Option<f64>,
    tenant: TenantId,
    purpose_of_use: PurposeOfUse,
}

/// RFC 7519, section 4.1.3: one name or several.
#[derive(Deserialize)]
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

/// Who acts for the user: `act` (RFC 8693, section 4.1), with the ids of users of this tenant and nothing else.
#[derive(Deserialize)]
#[serde(try_from = "Map<String, Value>")]
struct Actor {
    sub: UserId,
    iss: Option<String>,
}

impl TryFrom<Map<String, Value>> for Actor {
    type Error = serde_json::Error;

    fn try_from(mut members: Map<String, Value>) -> Result<Self, serde_json::Error> {
        // Who acted before acts no longer, but is told in the same form.
        members.remove("act").map(Self::deserialize).transpose()?;
        Ok(Self {
            sub: UserId::deserialize(members.remove("sub").unwrap_or_default())?,
            iss: members.remove("iss").map(String::deserialize).transpose()?,
        })
    }
}

/// A claim that may be left out, but not be null.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Actor {
    /// The actor's id, where it is one of this issuer's and another than the user's: nobody acts for herself.
    fn of(self, user: &UserId, rules: &TokenRules) -> Result<UserId, Refusal> {
        if self.iss.is_some_and(|issuer| issuer != rules.issuer) {
            return Err(Refusal::Issuer);
        }
        if self.sub == *user { Err(Refusal::Claims) } else { Ok(self.sub) }
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
        let actor = self.act.map(|actor| actor.of(&self.sub, rules)).transpose()?;
        let (tenant, user, purpose) = (self.tenant, self.sub, self.purpose_of_use);
        Ok(Viewer { tenant, user, actor, purpose, expires: expires.into(), token })
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

//! A JWT's form (RFC 7515, section 3.1), read strictly: what two readers could take differently is refused, before any key
//! is looked for.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// The longest name of a key, in bytes.
const MAX_KEY_ID: usize = 256;

/// The parts of a token, of which only the header was looked at.
pub(super) struct Compact<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    /// What is signed: header and claims, as they are.
    pub(super) message: &'t str,
    /// In base64.
    pub(super) signature: &'t str,
    claims: &'t str,
}

impl<'t> Compact<'t> {
    /// Header members that point to a key or bring one (`jwk`, `jku`, `x5u`, `x5c`) count for nothing: keys are those that
    /// are configured.
    pub(super) fn parse(token: &'t str) -> Result<Self, Refusal> {
        let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Header)?;
        let (header, claims) = message.split_once('.').ok_or(Refusal::Header)?;
        if claims.contains('.') {
            return Err(Refusal::Header);
        }
        let header = members(&decode(header).ok_or(Refusal::Header)?, Refusal::Header)?;
        // RFC 7515, section 4.1.11: we understand no extension, so none may be critical.
        if header.contains_key("crit") {
            return Err(Refusal::Critical);
        }
        if !is_access_token(&header) {
            return Err(Refusal::Kind);
        }
        let algorithm = text(&header, "alg")?.and_then(|name| name.parse().ok()).ok_or(Refusal::Header)?;
        let key_id = text(&header, "kid")?.map(str::to_owned);
        if key_id.as_ref().is_some_and(|id| id.len() > MAX_KEY_ID) {
            return Err(Refusal::Header);
        }
        Ok(Self { algorithm, key_id, message, signature, claims })
    }

    /// Only to be called where the signature holds.
    pub(super) fn claims<C: serde::de::DeserializeOwned>(&self) -> Result<C, Refusal> {
        let json = decode(self.claims).ok_or(Refusal::Claims)?;
        let claims = members(&json, Refusal::Claims)?;
        serde_json::from_value(Value::Object(claims)).map_err(|_| Refusal::Claims)
    }
}

/// Canonical: no padding, no other alphabet, no bits that are left over.
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

/// An issuer signs more than access tokens (RFC 8725, section 3.11): what says that it is something else is not taken for
/// one. One JWT inside of another has `cty` (RFC 7519, section 5.2).
fn is_access_token(header: &Map<String, Value>) -> bool {
    let names = ["JWT", "at+jwt", "application/jwt", "application/at+jwt"];
    let fits = match header.get("typ") {
        None => true,
        Some(Value::String(kind)) => names.iter().any(|name| kind.eq_ignore_ascii_case(name)),
        Some(_) => false,
    };
    fits && !header.contains_key("cty")
}

fn text<'h>(header: &'h Map<String, Value>, name: &str) -> Result<Option<&'h str>, Refusal> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::Header),
    }
}

/// The members of an object. One that is there twice, at any depth, may be read as the one or the other (RFC 7519, section
/// 4), so it is refused.
fn members(json: &[u8], refusal: Refusal) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(json) {
        Ok(Once(Value::Object(members))) => Ok(members),
        Ok(_) => Err(refusal),
        Err(error) if error.is_data() => Err(Refusal::Twice),
        Err(_) => Err(refusal),
    }
}

/// A JSON value whose objects have each member once. Its only errors of its own are those that have one twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor).map(Self)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Once(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Once(value))) = map.next_entry::<String, Once>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

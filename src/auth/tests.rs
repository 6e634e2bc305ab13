use std::{os::unix::fs::PermissionsExt, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sluice_schema::{error::Code, token::TokenId, viewer::PurposeOfUse};

use super::{refusal::Refusal, *};

const NOW: i64 = 1_800_000_000;

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("in range")
}

pub(super) fn rules() -> TokenRules {
    TokenRules::new("https://id.test", "sluice")
}

pub(super) fn claims() -> Value {
    json!({
        "iss": "https://id.test", "aud": "sluice", "sub": "nora", "tenant": "north", "purpose_of_use": "TREAT",
        "nbf": NOW - 10, "exp": NOW + 600,
    })
}

pub(super) fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn issuer() -> (tempfile::TempDir, Issuer) {
    let data = tempfile::tempdir().expect("a directory");
    let issuer = Issuer::open(data.path(), rules()).expect("makes a key");
    (data, issuer)
}

#[test]
fn a_token_that_holds_names_its_viewer() {
    let (_data, issuer) = issuer();
    let viewer = issuer.verifier().read(&issuer.sign(&claims()).expect("signs"), now()).expect("holds");
    assert_eq!((viewer.user.as_str(), viewer.tenant.as_str()), ("nora", "north"));
    assert_eq!(viewer.purpose, PurposeOfUse::Treatment);
    assert_eq!(viewer.expires.at().as_second(), NOW + 600);
}

/// The user stays who she is; of those who act for her the outermost does so now (RFC 8693, section 4.1).
#[test]
fn a_token_may_name_who_acts_for_its_user() {
    let (_data, issuer) = issuer();
    let verifier = issuer.verifier();
    let read = |claims: &Value| verifier.read(&issuer.sign(claims).expect("signs"), now()).expect("holds");
    assert_eq!(read(&claims()).actor, None);
    for act in [
        json!({ "sub": "agent" }),
        json!({ "sub": "agent", "iss": "https://id.test", "client_id": "app" }),
        json!({ "sub": "agent", "act": { "sub": "before", "iss": "https://other.test", "act": { "sub": "nora" } } }),
    ] {
        let viewer = read(&with("act", act));
        assert_eq!((viewer.user.as_str(), viewer.actor), ("nora", "agent".parse().ok()));
    }
    assert_eq!(read(&with("may_act", json!({ "sub": "agent" }))).actor, None, "who may act does not");
}

#[test]
fn each_claim_is_required_and_checked() {
    let (_data, issuer) = issuer();
    let verifier = issuer.verifier();
    let read = |claims: &Value| verifier.read(&issuer.sign(claims).expect("signs"), now()).map(|_| ());
    for name in ["iss", "aud", "sub", "exp", "nbf", "tenant", "purpose_of_use"] {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove(name);
        assert_eq!(read(&claims), Err(Refusal::Claims), "without {name}");
    }
    let cases = [
        ("iss", json!("https://id.test.evil"), Err(Refusal::Issuer)),
        ("iss", json!(["https://id.test"]), Err(Refusal::Claims)),
        ("aud", json!("other"), Err(Refusal::Audience)),
        ("aud", json!([]), Err(Refusal::Audience)),
        ("aud", json!(["other", "sluice"]), Ok(())),
        ("sub", json!(""), Err(Refusal::Claims)),
        ("tenant", json!("north/south"), Err(Refusal::Claims)),
        ("purpose_of_use", json!("HMARKT"), Err(Refusal::Claims)),
        ("exp", json!((NOW + 600).to_string()), Err(Refusal::Claims)),
        ("nbf", json!((NOW - 10).to_string()), Err(Refusal::Claims)),
        ("exp", json!(NOW as f64 + 0.5), Ok(())),
        ("exp", json!(1e300), Err(Refusal::Claims)),
        ("exp", json!(-1), Err(Refusal::Expired)),
        ("exp", json!(null), Err(Refusal::Claims)),
        ("exp", json!(NOW - 29), Ok(())),
        ("exp", json!(NOW - 30), Err(Refusal::Expired)),
        ("nbf", json!(NOW + 30), Ok(())),
        ("nbf", json!(NOW + 31), Err(Refusal::NotYetValid)),
    ];
    for (name, value, expected) in cases {
        assert_eq!(read(&with(name, value.clone())), expected, "{name}: {value}");
    }
}

#[test]
fn what_is_not_signed_by_a_known_key_is_refused() {
    let (_data, issuer) = issuer();
    let (_other_data, stranger) = self::issuer();
    let verifier = issuer.verifier();
    let good = issuer.sign(&claims()).expect("signs");
    let unsigned = |header: Value| format!("{}.{}.", B64.encode(header.to_string()), B64.encode(claims().to_string()));
    let forged = {
        let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
        parts[1] = B64.encode(with("tenant", json!("south")).to_string());
        parts.join(".")
    };
    let critical = {
        let mut header = Header::new(Algorithm::EdDSA);
        header.crit = Some(vec!["b64".into()]);
        let key = EncodingKey::from_secret(b"x");
        let hs = encode(&Header::default(), &claims(), &key).expect("signs");
        let tail = hs.split_once('.').expect("has parts").1.to_owned();
        format!("{}.{tail}", B64.encode(serde_json::to_string(&header).expect("is JSON")))
    };
    let by_secret = encode(&Header::default(), &claims(), &EncodingKey::from_secret(b"public")).expect("signs");
    let cases = [
        (String::new(), Refusal::Header),
        ("garbage".into(), Refusal::Header),
        ("a.b.c".into(), Refusal::Header),
        (unsigned(json!({ "alg": "none" })), Refusal::Header),
        (unsigned(json!({ "alg": "None" })), Refusal::Header),
        (unsigned(json!({ "alg": "EdDSA" })), Refusal::Signature),
        (by_secret, Refusal::Algorithm),
        (stranger.sign(&claims()).expect("signs"), Refusal::UnknownKey),
        (forged, Refusal::Signature),
        (good[..good.len() - 4].to_owned(), Refusal::Signature),
        (critical, Refusal::Critical),
        ("x".repeat(9000), Refusal::TooLong),
    ];
    for (token, expected) in cases {
        assert_eq!(verifier.read(&token, now()).map(|_| ()), Err(expected), "{token:.80}");
    }
}

#[test]
fn a_client_gets_one_text_that_does_not_repeat_the_token() {
    let (_data, issuer) = issuer();
    let verifier = issuer.verifier();
    let expired = verifier.verify_at(&issuer.sign(&with("exp", json!(1))).expect("signs"), now()).expect_err("expired");
    let garbage = verifier.verify_at("secret-garbage", now()).expect_err("no token");
    assert_eq!(expired, garbage);
    assert_eq!(expired.code, Code::Unauthenticated);
    assert!(!garbage.message.contains("secret-garbage"));
}

pub(super) struct Foreign {
    pub(super) jwk: Value,
    pub(super) key: EncodingKey,
    pub(super) algorithm: Algorithm,
}

impl Foreign {
    fn token(&self, kid: Option<&str>) -> String {
        self.token_of(kid, &claims())
    }

    pub(super) fn token_of(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        encode(&header, claims, &self.key).expect("signs")
    }
}

pub(super) fn p256() -> Foreign {
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("makes a key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).expect("reads it");
    let point = pair.public_key().as_ref();
    let jwk = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..65]) });
    Foreign { jwk, key: EncodingKey::from_ec_der(pkcs8.as_ref()), algorithm: Algorithm::ES256 }
}

/// The lengths of all headers are fixed for 2048 bits: PKCS #8 before RSAPrivateKey, and RSAPublicKey before `n`.
pub(super) fn rsa() -> Foreign {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("makes a key");
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().expect("writes it");
    let n = &pair.public_key().as_ref()[9..265];
    let jwk = json!({ "kty": "RSA", "alg": "RS256", "n": B64.encode(n), "e": "AQAB" });
    Foreign { jwk, key: EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]), algorithm: Algorithm::RS256 }
}

pub(super) fn set(keys: &[&Value]) -> String {
    json!({ "keys": keys }).to_string()
}

pub(super) fn named(foreign: &Foreign, kid: &str) -> Value {
    let mut jwk = foreign.jwk.clone();
    jwk["kid"] = kid.into();
    jwk
}

#[test]
fn a_key_is_found_by_its_id_and_keeps_its_algorithm() {
    let (ec, rs) = (p256(), rsa());
    let keys = set(&[&named(&ec, "a"), &named(&rs, "b")]);
    let verifier = Verifier::from_jwks(&keys, rules()).expect("two keys");
    let read = |token: &str| verifier.read(token, now()).map(|_| ());
    assert_eq!(read(&ec.token(Some("a"))), Ok(()));
    assert_eq!(read(&rs.token(Some("b"))), Ok(()));
    assert_eq!(read(&ec.token(None)), Err(Refusal::NoKeyId), "several keys: the token must say which");
    assert_eq!(read(&ec.token(Some("b"))), Err(Refusal::Algorithm), "the token does not choose the algorithm");
    assert_eq!(read(&ec.token(Some("c"))), Err(Refusal::UnknownKey));
    let alone = Verifier::from_jwks(&set(&[&ec.jwk]), rules()).expect("one key");
    assert!(alone.read(&ec.token(None), now()).is_ok());
}

#[test]
fn replaced_keys_count_no_longer() {
    let (old, new) = (p256(), p256());
    let verifier = Verifier::from_jwks(&set(&[&old.jwk]), rules()).expect("a key");
    verifier.replace_keys("{}").expect_err("no set");
    assert!(verifier.read(&old.token(None), now()).is_ok(), "a bad set changes nothing");
    verifier.replace_keys(&set(&[&new.jwk])).expect("a key");
    assert_eq!(verifier.read(&old.token(None), now()).map(|_| ()), Err(Refusal::Signature));
    assert!(verifier.read(&new.token(None), now()).is_ok());
}

#[test]
fn a_key_set_that_cannot_be_trusted_is_an_error_at_the_start() {
    let ec = p256();
    let without = |name: &str| {
        let mut jwk = ec.jwk.clone();
        jwk.as_object_mut().expect("an object").remove(name);
        jwk
    };
    let changed = |name: &str, value: Value| {
        let mut jwk = ec.jwk.clone();
        jwk[name] = value;
        jwk
    };
    let cases = [
        ("[]".to_owned(), JwksError::Malformed),
        (set(&[]), JwksError::Empty),
        (set(&[&changed("use", json!("enc"))]), JwksError::Empty),
        (set(&[&without("alg")]), JwksError::NoAlgorithm { at: 0 }),
        (set(&[&changed("alg", json!("HS256"))]), JwksError::UnsupportedAlgorithm { at: 0 }),
        (set(&[&changed("alg", json!("none"))]), JwksError::UnsupportedAlgorithm { at: 0 }),
        (set(&[&changed("alg", json!("EdDSA"))]), JwksError::Mismatch { at: 0 }),
        (set(&[&changed("crv", json!("P-384"))]), JwksError::Mismatch { at: 0 }),
        (set(&[&changed("x", json!("AAAA"))]), JwksError::Mismatch { at: 0 }),
        (set(&[&changed("d", json!("AAAA"))]), JwksError::Private { at: 0 }),
        (set(&[&named(&ec, "a"), &ec.jwk]), JwksError::KeyId { at: 1 }),
        (set(&[&named(&ec, "a"), &named(&ec, "a")]), JwksError::KeyId { at: 0 }),
    ];
    for (jwks, expected) in cases {
        assert_eq!(Verifier::from_jwks(&jwks, rules()).map(|_| ()), Err(expected), "{jwks}");
    }
}

#[test]
fn tokens_outlive_a_restart() {
    let (data, issuer) = issuer();
    let (user, tenant) = ("nora".parse().expect("an id"), "north".parse().expect("an id"));
    let token = issuer.issue(&user, &tenant, PurposeOfUse::Payment, Duration::from_secs(60)).expect("issues");
    drop(issuer);
    let again = Issuer::open(data.path(), rules()).expect("reads its key");
    let viewer = again.verifier().verify(&token).expect("holds");
    assert_eq!((viewer.user, viewer.tenant, viewer.purpose), (user, tenant, PurposeOfUse::Payment));
}

#[test]
fn the_key_file_is_private_or_not_used() {
    let (data, _issuer) = issuer();
    let path = data.path().join("jwt-key.pk8");
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets the mode");
    let files = std::fs::read_dir(data.path()).expect("reads").count();
    assert_eq!(files, 1, "nothing is left beside it");
    assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
    mode(0o640);
    assert!(matches!(Issuer::open(data.path(), rules()), Err(IssuerError::Exposed { .. })));
    mode(0o600);
    std::fs::write(&path, b"half a key").expect("writes");
    assert!(matches!(Issuer::open(data.path(), rules()), Err(IssuerError::NotAKey { .. })));
}

#[test]
fn a_token_is_told_from_others_by_its_id_and_the_time_of_its_issue() {
    let (_data, issuer) = issuer();
    let verifier = issuer.verifier();
    let read = |claims: &Value| verifier.read(&issuer.sign(claims).expect("signs"), now());
    let bare = read(&claims()).expect("both may be absent").token;
    assert_eq!((bare.id, bare.issued.as_second()), (None, 0), "it counts as issued before all revocations");
    let mut named = with("jti", json!("t-1"));
    named["iat"] = json!(NOW as f64 - 5.5);
    let named = read(&named).expect("holds").token;
    assert_eq!((named.id, named.issued.as_second()), (TokenId::of("t-1").ok(), NOW - 6));
    let cases = [
        ("jti", json!(7), Err(Refusal::Claims)),
        ("jti", json!(""), Err(Refusal::Claims)),
        ("jti", json!("x".repeat(256)), Ok(())),
        ("jti", json!("x".repeat(257)), Err(Refusal::Claims)),
        ("iat", json!(NOW.to_string()), Err(Refusal::Claims)),
        ("iat", json!(-1), Err(Refusal::Lifetime)),
        ("iat", json!(NOW + 30), Ok(())),
        ("iat", json!(NOW + 31), Err(Refusal::NotYetValid)),
    ];
    for (name, value, expected) in cases {
        assert_eq!(read(&with(name, value.clone())).map(|_| ()), expected, "{name}: {value}");
    }
}

/// A revocation need not be kept for longer than that.
#[test]
fn no_token_is_valid_for_longer_than_any_may_be() {
    let (_data, issuer) = issuer();
    let verifier = issuer.verifier();
    let read = |claims: &Value| verifier.read(&issuer.sign(claims).expect("signs"), now()).map(|_| ());
    const DAY: i64 = 24 * 60 * 60;
    let mut issued = with("iat", json!(NOW - 100));
    issued["exp"] = json!(NOW - 100 + DAY);
    assert_eq!(read(&issued), Ok(()));
    issued["exp"] = json!(NOW - 99 + DAY);
    assert_eq!(read(&issued), Err(Refusal::Lifetime));
    assert_eq!(read(&with("exp", json!(NOW - 10 + DAY))), Ok(()), "from `nbf`, where it does not say when");
    assert_eq!(read(&with("exp", json!(NOW - 9 + DAY))), Err(Refusal::Lifetime));
    let (user, tenant) = ("nora".parse().expect("an id"), "north".parse().expect("an id"));
    let issue = |ttl| issuer.issue(&user, &tenant, PurposeOfUse::Payment, Duration::from_secs(ttl));
    assert!(matches!(issue(DAY as u64 + 1), Err(IssuerError::Lifetime { .. })));
    let [one, other] = [issue(DAY as u64), issue(60)].map(|token| verifier.verify(&token.expect("issues")));
    let [one, other] = [one, other].map(|viewer| viewer.expect("holds").token.id.expect("has an id"));
    assert_ne!(one, other);
}

//! Bad tokens, of every kind that is known of. Each is refused, all with one answer, and the log tells nothing of them.

mod claim;
mod form;
mod header;

use std::{
    io,
    sync::{Arc, Mutex},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use sluice_schema::error::Code;
use tracing_subscriber::fmt::MakeWriter;

use super::{
    refusal::Refusal,
    tests::{Foreign, claims, named, now, p256, rsa, rules, set, with},
    verifier::Verifier,
};

/// A key of each algorithm, and who knows them by the names `rsa`, `ec` and `ed`.
struct Keys {
    rsa: Foreign,
    ec: Foreign,
    ed: Foreign,
    verifier: Verifier,
}

fn ed25519() -> Foreign {
    let pair = Ed25519KeyPair::generate().expect("makes a key");
    let x = B64.encode(pair.public_key());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x });
    let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().expect("writes it").as_ref());
    Foreign { jwk, key, algorithm: Algorithm::EdDSA }
}

impl Keys {
    fn new() -> Self {
        let (rsa, ec, ed) = (rsa(), p256(), ed25519());
        let all = [named(&rsa, "rsa"), named(&ec, "ec"), named(&ed, "ed")];
        let verifier = Verifier::from_jwks(&set(&all.each_ref()), rules()).expect("three keys");
        Self { rsa, ec, ed, verifier }
    }

    fn read(&self, token: &str) -> Result<(), Refusal> {
        self.verifier.read(token, now()).map(|_| ())
    }
}

/// Header and claims as they are, and a signature that is right.
fn signed(key: &Foreign, header: &str, claims: &[u8]) -> String {
    let message = format!("{}.{}", B64.encode(header), B64.encode(claims));
    let signature = crypto::sign(message.as_bytes(), &key.key, key.algorithm).expect("signs");
    format!("{message}.{signature}")
}

/// The same, where the header is of JSON and the claims are right.
fn headed(key: &Foreign, header: &Value) -> String {
    signed(key, &header.to_string(), claims().to_string().as_bytes())
}

const ED: &str = r#"{"alg":"EdDSA","kid":"ed"}"#;

/// By the Ed25519 key.
fn claiming(keys: &Keys, claims: impl AsRef<[u8]>) -> String {
    signed(&keys.ed, ED, claims.as_ref())
}

type Cases = Vec<(String, String, Refusal)>;

#[test]
fn what_the_bad_ones_are_made_from_is_good() {
    let keys = Keys::new();
    for (key, header) in [
        (&keys.rsa, json!({ "alg": "RS256", "kid": "rsa" })),
        (&keys.ec, json!({ "alg": "ES256", "kid": "ec", "typ": "JWT" })),
        (&keys.ed, json!({ "alg": "EdDSA", "kid": "ed", "typ": "at+jwt" })),
        // Providers send these; they count for nothing.
        (&keys.ed, json!({ "alg": "EdDSA", "kid": "ed", "jku": "https://evil.test/", "x5t": "AAAA" })),
    ] {
        assert_eq!(keys.read(&headed(key, &header)), Ok(()), "{header}");
    }
    let escaped = claims().to_string().replace("\"sub\"", "\"s\\u0075b\"");
    assert_eq!(keys.read(&claiming(&keys, escaped)), Ok(()), "JSON's own way of writing a name");
}

/// The debug log of one thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Each is refused for its reason, which only the log tells, by kind; what the client is told is the same for all.
fn refused(keys: &Keys, cases: Cases) {
    let answer = keys.verifier.verify_at("", now()).expect_err("is none");
    assert_eq!(answer.code, Code::Unauthenticated);
    for (name, token, expected) in cases {
        assert_eq!(keys.read(&token), Err(expected), "{name}");
        let log = Log::default();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).with_ansi(false);
        let told = tracing::subscriber::with_default(subscriber.finish(), || {
            keys.verifier.verify_at(&token, now()).expect_err("is refused")
        });
        assert_eq!(told, answer, "{name}");
        let log = String::from_utf8(log.0.lock().unwrap().clone()).expect("is text");
        assert!(log.contains(&expected.to_string()) && log.lines().count() == 1, "{name}: {log}");
        let parts = token.split('.').filter(|part| part.len() > 8);
        let told_on = ["nora", "otto", "north", "evil.test"].into_iter().chain(parts).find(|part| log.contains(part));
        assert_eq!(told_on, None, "{name}: {log}");
    }
}

//! What is wrong with the header: algorithms, and who says which key it is.

use base64::engine::general_purpose::STANDARD;

use super::*;

#[test]
fn algorithms_are_the_keys_and_not_the_tokens() {
    let keys = Keys::new();
    let body = B64.encode(claims().to_string());
    let mut cases: Cases = Vec::new();
    for none in ["none", "None", "NONE", "nOnE", "none ", ""] {
        for signature in ["", "AAAA"] {
            let header = B64.encode(json!({ "alg": none, "kid": "ed" }).to_string());
            cases.push((format!("alg {none:?}"), format!("{header}.{body}.{signature}"), Refusal::Header));
        }
    }
    for alg in ["rs256", "eddsa", "ED25519", "ES256K", "RSA-OAEP", "dir", "A128GCM"] {
        cases.push((format!("alg {alg}"), headed(&keys.ed, &json!({ "alg": alg, "kid": "ed" })), Refusal::Header));
    }
    for alg in [json!(null), json!(["EdDSA"]), json!(1), json!({})] {
        cases.push((format!("alg {alg}"), headed(&keys.ed, &json!({ "alg": alg, "kid": "ed" })), Refusal::Header));
    }
    cases.push(("no alg".into(), headed(&keys.ed, &json!({ "kid": "ed" })), Refusal::Header));
    for (name, key, kid, alg) in [
        ("RSA as ES256", &keys.rsa, "rsa", "ES256"),
        ("RSA as PS256", &keys.rsa, "rsa", "PS256"),
        ("RSA as RS512", &keys.rsa, "rsa", "RS512"),
        ("EC as RS256", &keys.ec, "ec", "RS256"),
        ("EC as ES384", &keys.ec, "ec", "ES384"),
        ("EC as EdDSA", &keys.ec, "ec", "EdDSA"),
        ("Ed25519 as ES256", &keys.ed, "ed", "ES256"),
        ("Ed25519 as HS256", &keys.ed, "ed", "HS256"),
        ("Ed25519 under the name of EC", &keys.ed, "ec", "EdDSA"),
    ] {
        cases.push((name.into(), headed(key, &json!({ "alg": alg, "kid": kid })), Refusal::Algorithm));
    }
    let under_another = headed(&keys.ec, &json!({ "alg": "EdDSA", "kid": "ed" }));
    cases.push(("EC's signature for Ed25519".into(), under_another, Refusal::Signature));
    for (name, secret) in public_keys(&keys) {
        for (alg, algorithm) in [("HS256", Algorithm::HS256), ("HS512", Algorithm::HS512)] {
            for kid in ["rsa", "ed"] {
                let secret = Foreign { jwk: json!({}), key: EncodingKey::from_secret(&secret), algorithm };
                let token = headed(&secret, &json!({ "alg": alg, "kid": kid }));
                cases.push((format!("{alg} by {name}"), token, Refusal::Algorithm));
            }
        }
    }
    refused(&keys, cases);
}

/// What is public, as a secret may be made of it.
fn public_keys(keys: &Keys) -> Vec<(&'static str, Vec<u8>)> {
    let n = B64.decode(keys.rsa.jwk["n"].as_str().expect("a text")).expect("is base64");
    // RSAPublicKey (RFC 8017, A.1.1) of 2048 bits with e = 65537, and SubjectPublicKeyInfo (RFC 5280, 4.1) around it.
    let pkcs1 = [b"\x30\x82\x01\x0a\x02\x82\x01\x01\x00".as_slice(), &n, b"\x02\x03\x01\x00\x01"].concat();
    let head = b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f\x00";
    let spki = [head.as_slice(), &pkcs1].concat();
    let lines: Vec<String> =
        STANDARD.encode(&spki).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let jwk = keys.rsa.jwk.to_string().into_bytes();
    let x = B64.decode(keys.ed.jwk["x"].as_str().expect("a text")).expect("is base64");
    vec![
        ("n", n),
        ("PKCS #1", pkcs1),
        ("SPKI", spki),
        ("PEM without its last line end", pem.trim_end().into()),
        ("PEM", pem.into()),
        ("JWK", jwk),
        ("x", x),
        ("x in base64", keys.ed.jwk["x"].to_string().into_bytes()),
        ("nothing", Vec::new()),
    ]
}

#[test]
fn headers_that_name_or_bring_a_key() {
    let keys = Keys::new();
    let mine = ed25519();
    let mut cases: Cases = Vec::new();
    for kid in [
        "../../../../dev/null".to_owned(),
        "/etc/passwd".to_owned(),
        "ed' OR '1'='1".to_owned(),
        "x' UNION SELECT 'AAAA' --".to_owned(),
        "https://evil.test/jwks.json".to_owned(),
        "ED".to_owned(),
        "ed\u{0}".to_owned(),
        " ed".to_owned(),
        String::new(),
        "k".repeat(256),
    ] {
        let token = headed(&mine, &json!({ "alg": "EdDSA", "kid": kid }));
        cases.push((format!("kid {kid:.40}"), token, Refusal::UnknownKey));
    }
    for kid in [json!(null), json!(["ed"]), json!({ "ed": 1 }), json!(0), json!(true), json!("k".repeat(257))] {
        let token = headed(&keys.ed, &json!({ "alg": "EdDSA", "kid": kid }));
        cases.push((format!("kid {kid:.40}"), token, Refusal::Header));
    }
    cases.push(("no kid".into(), headed(&keys.ed, &json!({ "alg": "EdDSA" })), Refusal::NoKeyId));
    // A key that the token brings, or points to, is not the one that it is checked by.
    for (name, value) in [
        ("jwk", mine.jwk.clone()),
        ("jku", json!("https://evil.test/jwks.json")),
        ("x5u", json!("https://evil.test/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = json!({ "alg": "EdDSA", "kid": "ed" });
        header[name] = value.clone();
        cases.push((format!("its own {name}"), headed(&mine, &header), Refusal::Signature));
        header["kid"] = json!("mine");
        cases.push((format!("its own {name} and name"), headed(&mine, &header), Refusal::UnknownKey));
    }
    for crit in [json!(["b64"]), json!(["exp"]), json!([]), json!(null), json!("x")] {
        let header = json!({ "alg": "EdDSA", "kid": "ed", "crit": crit, "b64": false });
        cases.push((format!("crit {crit}"), headed(&keys.ed, &header), Refusal::Critical));
    }
    for (name, value) in [
        ("typ", json!("logout+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("secevent+jwt")),
        ("typ", json!("JWE")),
        ("typ", json!("")),
        ("typ", json!(null)),
        ("typ", json!(["JWT"])),
        ("cty", json!("JWT")),
        ("cty", json!("jwt")),
        ("cty", json!(null)),
    ] {
        let mut header = json!({ "alg": "EdDSA", "kid": "ed" });
        header[name] = value.clone();
        cases.push((format!("{name} {value}"), headed(&keys.ed, &header), Refusal::Kind));
    }
    refused(&keys, cases);
}

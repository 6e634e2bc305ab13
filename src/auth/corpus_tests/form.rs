//! What is wrong with the form, and signatures that do not hold.

use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::*;

#[test]
fn forms_that_are_not_the_compact_one() {
    let keys = Keys::new();
    let good = claiming(&keys, claims().to_string());
    let [header, body, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let ec = headed(&keys.ec, &json!({ "alg": "ES256", "kid": "ec" }));
    let (ec_message, ec_signature) = ec.rsplit_once('.').expect("has parts");
    let raw = B64.decode(ec_signature).expect("is base64");
    let with_signature = |bytes: &[u8]| format!("{ec_message}.{}", B64.encode(bytes));
    let standard = |part: &str| STANDARD.encode(B64.decode(part).expect("is base64"));
    let padded = |part: &str| URL_SAFE.encode(B64.decode(part).expect("is base64"));
    let padded_header = B64.encode(format!("{ED} "));
    let mut cases: Cases = Vec::new();
    for (name, token) in [
        ("nothing", String::new()),
        ("a word", "garbage".into()),
        ("dots", "..".into()),
        ("one part", header.into()),
        ("two parts", format!("{header}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as JWE", format!("{good}.AAAA.AAAA")),
        ("a dot before", format!(".{good}")),
        ("a dot behind", format!("{good}.")),
        ("a dot more inside", good.replacen('.', "..", 1)),
        ("a space before", format!(" {good}")),
        ("a line end inside of the header", format!("{}\n{}.{body}.{signature}", &header[..4], &header[4..])),
        ("padding of the header", format!("{padded_header}=.{body}.{signature}")),
        ("JSON serialization", json!({ "payload": body, "protected": header, "signature": signature }).to_string()),
        ("a header of no JSON", format!("{}.{body}.{signature}", B64.encode("EdDSA"))),
        ("a header of no UTF-8", format!("{}.{body}.{signature}", B64.encode(b"{\"alg\":\"EdDSA\",\"kid\":\"\xff\"}"))),
        ("a header in an array", format!("{}.{body}.{signature}", B64.encode(format!("[{ED}]")))),
        ("a header that nests", format!("{}.{body}.{signature}", B64.encode("[".repeat(3000)))),
        ("a full-width dot", good.replacen('.', "\u{ff0e}", 1)),
    ] {
        cases.push((name.into(), token, Refusal::Header));
    }
    for (name, token) in [
        ("no signature", format!("{header}.{body}.")),
        ("a signature that is cut", good[..good.len() - 4].to_owned()),
        ("a signature with more", format!("{good}AAAA")),
        ("a signature with padding", format!("{header}.{body}.{}", padded(signature))),
        ("a space behind", format!("{good} ")),
        ("a line end behind", format!("{good}\n")),
        ("the bits that are left over", format!("{}{}", &good[..good.len() - 1], last_bits(signature))),
        ("other claims", format!("{header}.{}.{signature}", B64.encode(with("sub", json!("otto")).to_string()))),
        ("another header", format!("{padded_header}.{body}.{signature}")),
        ("claims with padding", format!("{header}.{body}=.{signature}")),
        ("claims with a space", format!("{header}. {body}.{signature}")),
        ("a signature of zeros", format!("{header}.{body}.{}", B64.encode([0; 64]))),
        ("ES256: r and s are 0", with_signature(&[0; 64])),
        ("ES256: r is 0", with_signature(&[&[0; 32], &raw[32..]].concat())),
        ("ES256: s is 0", with_signature(&[&raw[..32], &[0; 32]].concat())),
        ("ES256: all ones", with_signature(&[0xff; 64])),
        ("ES256: r and s exchanged", with_signature(&[&raw[32..], &raw[..32]].concat())),
        ("ES256: in DER", with_signature(&der(&raw))),
        ("ES256: without its last byte", with_signature(&raw[..63])),
        ("ES256: with a byte more", with_signature(&[raw.as_slice(), &[0]].concat())),
    ] {
        cases.push((name.into(), token, Refusal::Signature));
    }
    // Signed as they stand, so that nothing but the form is wrong with them.
    for (name, claims) in [("padding", with_padding(&keys)), ("the other alphabet", other_alphabet(&keys, &standard))] {
        let message = format!("{header}.{claims}");
        let signature = crypto::sign(message.as_bytes(), &keys.ed.key, Algorithm::EdDSA).expect("signs");
        cases.push((format!("claims with {name}, signed"), format!("{message}.{signature}"), Refusal::Claims));
    }
    for token in [format!("{good}{}", "A".repeat(8192)), "x".repeat(8193), ".".repeat(100_000), "€".repeat(3000)] {
        cases.push((format!("{} bytes", token.len()), token, Refusal::TooLong));
    }
    refused(&keys, cases);
}

/// Claims of a length that is padded.
fn with_padding(keys: &Keys) -> String {
    let all = (0..3).map(|at| {
        let token = claiming(keys, with("x", json!("x".repeat(at))).to_string());
        URL_SAFE.encode(B64.decode(token.split('.').nth(1).expect("has claims")).expect("is base64"))
    });
    all.into_iter().find(|claims| claims.ends_with('=')).expect("two of them are")
}

/// Claims in base64 that has a `+` or `/`.
fn other_alphabet(keys: &Keys, standard: &dyn Fn(&str) -> String) -> String {
    let all = (0..64).map(|at| {
        let claims = with("x", json!("?".repeat(at))).to_string();
        standard(claiming(keys, claims).split('.').nth(1).expect("has claims")).trim_end_matches('=').to_owned()
    });
    all.into_iter().find(|claims| claims.contains(['+', '/'])).expect("one of them has")
}

/// 64 bytes leave 4 bits of the last letter over: another letter with the same other two.
fn last_bits(signature: &str) -> char {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = *signature.as_bytes().last().expect("is not empty");
    let at = LETTERS.iter().position(|letter| *letter == last).expect("is a letter");
    char::from(LETTERS[at + 1])
}

/// ECDSA-Sig-Value (RFC 3279, section 2.2.3).
fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let sign = if bytes[0] >= 0x80 { vec![0] } else { Vec::new() };
        let length = u8::try_from(bytes.len() + sign.len()).expect("is short");
        [vec![2, length], sign, bytes.to_vec()].concat()
    };
    let both = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [vec![0x30, u8::try_from(both.len()).expect("is short")], both].concat()
}

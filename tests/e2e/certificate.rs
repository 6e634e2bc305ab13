//! A certificate that signs itself (RFC 5280, section 4.1), by an Ed25519 key (RFC 8410).

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs as provider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

const SEQUENCE: u8 = 0x30;

/// AlgorithmIdentifier of Ed25519.
const ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";

pub(crate) struct Certificate {
    der: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    /// Of a host, by its name, valid from 2020 to 2049.
    pub(crate) fn of(host: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let signed = to_be_signed(host, pair.public_key().as_ref());
        let signature = bits(pair.sign(&signed).as_ref());
        let der = tagged(SEQUENCE, &[&signed, ED25519, &signature]);
        Self { der, key: pair.to_pkcs8v1().unwrap().as_ref().to_vec() }
    }

    pub(crate) fn pem(&self) -> String {
        let lines: Vec<String> =
            STANDARD.encode(&self.der).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    /// What a server needs that has it.
    pub(crate) fn server(&self) -> ServerConfig {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone().into()], key)
            .unwrap()
    }
}

fn to_be_signed(host: &str, public_key: &[u8]) -> Vec<u8> {
    let (version, serial) = (b"\xa0\x03\x02\x01\x02", b"\x02\x01\x01");
    let common_name = tagged(SEQUENCE, &[b"\x06\x03\x55\x04\x03", &tagged(0x0c, &[b"Sluice test"])]);
    let name = tagged(SEQUENCE, &[&tagged(0x31, &[&common_name])]);
    let validity = tagged(SEQUENCE, &[&tagged(0x17, &[b"200101000000Z"]), &tagged(0x17, &[b"491231235959Z"])]);
    let key = tagged(SEQUENCE, &[ED25519, &bits(public_key)]);
    let hosts = tagged(SEQUENCE, &[&tagged(0x82, &[host.as_bytes()])]);
    // subjectAltName.
    let extension = tagged(SEQUENCE, &[b"\x06\x03\x55\x1d\x11", &tagged(0x04, &[&hosts])]);
    let extensions = tagged(0xa3, &[&tagged(SEQUENCE, &[&extension])]);
    tagged(SEQUENCE, &[version, serial, ED25519, &name, &validity, &name, &key, &extensions])
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    tagged(0x03, &[&[0], bytes])
}

/// A tag, a length and what it is of (X.690, section 8.1).
fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte > 0).unwrap_or(length.len() - 1)..];
    let head = match content.len() {
        0..0x80 => vec![tag, length[0]],
        _ => [&[tag, 0x80 | u8::try_from(length.len()).unwrap()], length].concat(),
    };
    [head, content].concat()
}

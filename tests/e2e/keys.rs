//! An identity provider's keys, as they change under a running server.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::{Router, extract::State, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    certificate::Certificate,
    harness::{Options, Server, code},
    installation::Home,
};

struct Key {
    name: &'static str,
    signing: EncodingKey,
    public: Value,
}

impl Key {
    fn new(name: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": name, "alg": "EdDSA", "use": "sig" });
        Self { name, signing: EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()), public }
    }

    /// Of the demo nurse.
    fn token(&self, lasts: Duration) -> String {
        let now = Timestamp::now().as_second();
        let claims = json!({
            "iss": "sluice", "aud": "sluice", "sub": "u-nurse", "tenant": "demo", "purpose_of_use": "TREAT",
            "nbf": now, "exp": now + lasts.as_secs() as i64,
        });
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.name.into());
        jsonwebtoken::encode(&header, &claims, &self.signing).unwrap()
    }
}

fn set(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| &key.public).collect::<Vec<_>>() }).to_string()
}

/// Where an identity provider publishes its keys.
enum Published {
    File { path: PathBuf, _directory: tempfile::TempDir },
    Url { address: String, set: watch::Sender<String> },
}

impl Published {
    fn in_a_file() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::File { path: directory.path().join("jwks.json"), _directory: directory }
    }

    async fn at_a_url() -> Self {
        let (set, published) = watch::channel(String::new());
        let answer = |State(set): State<Arc<watch::Receiver<String>>>| async move { set.borrow().clone() };
        let router = Router::new().route("/keys", get(answer)).with_state(Arc::new(published));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self::Url { address, set }
    }

    fn publish(&self, keys: &[&Key]) {
        match self {
            Self::File { path, .. } => fs::write(path, set(keys)).unwrap(),
            Self::Url { set: published, .. } => drop(published.send_replace(set(keys))),
        }
    }

    fn options(&self) -> Options {
        let options = Options::default();
        match self {
            Self::File { path, .. } => {
                options.env("SLUICE__AUTH__MODE", "jwks_file").env("SLUICE__AUTH__JWKS_FILE", path.to_str().unwrap())
            }
            Self::Url { address, .. } => {
                options.env("SLUICE__AUTH__MODE", "jwks_url").env("SLUICE__AUTH__JWKS_URL", address)
            }
        }
    }
}

async fn takes(server: &Server, token: &str) -> bool {
    let answer = server.with_token(token).graphql("{ __typename }", Value::Null).await;
    let taken = answer["data"]["__typename"] == "Query";
    assert!(taken || code(&answer) == "UNAUTHENTICATED", "{answer}");
    taken
}

#[tokio::test]
async fn keys_are_rotated_under_a_running_server() {
    for published in [Published::in_a_file(), Published::at_a_url().await] {
        let [old, new, other] = ["old", "new", "other"].map(Key::new);
        let hour = Duration::from_secs(3600);
        published.publish(&[&old]);
        let server = Server::start(published.options()).await;
        assert!(takes(&server, &old.token(hour)).await && !takes(&server, &other.token(hour)).await);

        let token = old.token(hour);
        let mut ws = server.with_token(&token).connect().await;
        published.publish(&[&old, &new]);
        assert!(ws.renew(&new.token(2 * hour)).await["renewed"]["expiresAt"].is_string(), "its key is read at once");
        assert!(takes(&server, &new.token(hour)).await && takes(&server, &old.token(hour)).await);

        published.publish(&[&new]);
        assert!(!takes(&server, &other.token(hour)).await, "which has the keys read");
        assert!(!takes(&server, &old.token(hour)).await && takes(&server, &new.token(hour)).await);
        assert_eq!(ws.renew(&old.token(hour)).await["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        assert!(!server.log().contains(new.public["x"].as_str().unwrap()), "the log repeats nothing of keys");
    }
}

#[tokio::test]
async fn a_renewed_socket_lives_on_and_another_ends() {
    let published = Published::in_a_file();
    let key = Key::new("only");
    published.publish(&[&key]);
    let server = Server::start(published.options()).await;
    let token = key.token(Duration::from_secs(2));
    let [mut renewed, mut other] =
        [server.with_token(&token).connect().await, server.with_token(&token).connect().await];
    renewed.renew(&key.token(Duration::from_secs(3600))).await;
    assert_eq!(other.closed().await.map(|close| u16::from(close.code)), Some(4403), "its token ends");
    let refused = renewed.renew("nonsense").await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "it answers, past that token's end");
}

/// Answers every request with a set, over TLS; the port.
async fn serve_over_tls(certificate: &Certificate, set: String) -> u16 {
    let acceptor = TlsAcceptor::from(Arc::new(certificate.server()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // Who does not trust the certificate goes away.
            let Ok(mut socket) = acceptor.accept(socket).await else { continue };
            let _ = socket.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", set.len());
            let _ = socket.write_all(format!("{head}{set}").as_bytes()).await;
            let _ = socket.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn keys_are_read_over_tls_from_those_whom_the_system_trusts() {
    let (key, certificate) = (Key::new("only"), Certificate::of("localhost"));
    let port = serve_over_tls(&certificate, set(&[&key])).await;
    let at = |host: &str| {
        let url = format!("https://{host}:{port}/keys");
        Options::default().env("SLUICE__AUTH__MODE", "jwks_url").env("SLUICE__AUTH__JWKS_URL", &url)
    };
    let home = Home::new().await;
    let file = home.path().join("trusted.pem");
    fs::write(&file, certificate.pem()).unwrap();
    let trusting = |options: Options| options.env("SSL_CERT_FILE", file.to_str().unwrap());

    let Err((home, status)) = Server::try_start_in(home, at("localhost")).await else { panic!("it is not trusted") };
    assert_eq!(status.code(), Some(1));
    let Err((home, _)) = Server::try_start_in(home, trusting(at("127.0.0.1"))).await else { panic!("it is another's") };
    let server = Server::start_in(home, trusting(at("localhost"))).await;
    assert_eq!(server.log().matches("can't be used: it can't be reached: ").count(), 2, "{}", server.log());
    assert!(takes(&server, &key.token(Duration::from_secs(60))).await);
}

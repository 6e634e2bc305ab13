//! The public keys of an identity provider, from the address that it publishes them at (RFC 7517; `jwks_uri` of OpenID
//! Connect Discovery 1.0, section 3).

use std::{net::IpAddr, time::Duration};

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{Request, Uri, body::Bytes, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::crypto::aws_lc_rs;
use tokio::time::timeout;

/// The largest set that is read, in bytes. Those of large providers have some ten keys of 2 KiB.
const MAX_BYTES: usize = 256 * 1024;

/// How long a whole exchange may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why keys can't be had. It repeats nothing of what was answered.
#[derive(Debug, thiserror::Error)]
pub enum JwksUrlError {
    #[error("it is no URL: it must be of the form https://host/path")]
    NotAUrl,
    #[error("it must begin with https://, unless its host is this one (localhost, 127.0.0.1, [::1])")]
    NotHttps,
    #[error("it must have no user and no password in it")]
    HasUser,
    #[error("the system has no certificates to trust: {0}")]
    NoCertificates(std::io::Error),
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Timeout,
    #[error("it can't be reached: {0}")]
    Unreachable(String),
    #[error("the answer has the status {0}, and must have 200; redirects are not followed")]
    Status(u16),
    #[error("the answer is larger than {} KiB", MAX_BYTES / 1024)]
    TooLarge,
    #[error("the answer is no UTF-8")]
    NotText,
}

/// An address that answers with a JWK set.
pub struct JwksUrl {
    url: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl JwksUrl {
    /// Whoever can change the answer can sign tokens: without TLS it is only read from this host.
    ///
    /// # Errors
    /// It is no such address, or the system has no certificates to trust.
    pub fn new(url: &str) -> Result<Self, JwksUrlError> {
        let url = parse(url)?;
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(aws_lc_rs::default_provider())
            .map_err(JwksUrlError::NoCertificates)?
            .https_or_http()
            .enable_http1()
            .build();
        // Between two reads lie minutes: no connection is kept.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { url, client })
    }

    /// Whether [`Self::new`] would take it.
    ///
    /// # Errors
    /// It is no such address.
    pub fn check(url: &str) -> Result<(), JwksUrlError> {
        parse(url).map(|_| ())
    }

    /// The set as it is published now.
    ///
    /// # Errors
    /// There is no answer with the status 200, or it is too large.
    pub async fn read(&self) -> Result<String, JwksUrlError> {
        timeout(DEADLINE, self.exchange()).await.map_err(|_| JwksUrlError::Timeout)?
    }

    async fn exchange(&self) -> Result<String, JwksUrlError> {
        let request = Request::get(self.url.clone())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(header::USER_AGENT, "sluice")
            .body(Empty::new())
            .map_err(|_| JwksUrlError::NotAUrl)?;
        let response = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        if response.status() != 200 {
            return Err(JwksUrlError::Status(response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { JwksUrlError::TooLarge } else { unreachable(&*error) }
        })?;
        String::from_utf8(body.to_bytes().into()).map_err(|_| JwksUrlError::NotText)
    }
}

fn parse(url: &str) -> Result<Uri, JwksUrlError> {
    let url: Uri = url.parse().map_err(|_| JwksUrlError::NotAUrl)?;
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(JwksUrlError::NotAUrl);
    };
    if scheme != "https" && !(scheme == "http" && is_loopback(authority.host())) {
        return Err(JwksUrlError::NotHttps);
    }
    if authority.as_str().contains('@') { Err(JwksUrlError::HasUser) } else { Ok(url) }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// The innermost reason, which is the one that says something.
fn unreachable(error: &(dyn std::error::Error + 'static)) -> JwksUrlError {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    JwksUrlError::Unreachable(innermost.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// What is read from a server that answers once, with this.
    async fn read(answer: Vec<u8>) -> Result<String, JwksUrlError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/keys", listener.local_addr().expect("has an address"));
        let serve = async {
            let (mut socket, _) = listener.accept().await.expect("accepts");
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(&answer).await;
            let _ = socket.shutdown().await;
        };
        let source = JwksUrl::new(&url).expect("is a URL");
        let (read, ()) = tokio::join!(source.read(), serve);
        read
    }

    fn answer(status: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
        [head.as_bytes(), b"location: http://127.0.0.1:1/\r\n\r\n", body].concat()
    }

    #[tokio::test]
    async fn a_set_is_read_as_it_is() {
        assert_eq!(read(answer("200 OK", b"{\"keys\":[]}")).await.expect("is read"), "{\"keys\":[]}");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_set_is_an_error_without_its_content() {
        assert!(matches!(read(answer("302 Found", b"secret")).await, Err(JwksUrlError::Status(302))));
        assert!(matches!(read(answer("500 Oops", b"secret")).await, Err(JwksUrlError::Status(500))));
        assert!(matches!(read(answer("200 OK", b"\xff")).await, Err(JwksUrlError::NotText)));
        assert!(matches!(read(b"nonsense\r\n\r\n".to_vec()).await, Err(JwksUrlError::Unreachable(_))));
        let large = vec![b' '; MAX_BYTES + 1];
        assert!(matches!(read(answer("200 OK", &large)).await, Err(JwksUrlError::TooLarge)));
        let endless = [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".as_slice(), &large].concat();
        assert!(matches!(read(endless).await, Err(JwksUrlError::TooLarge)), "nor where no length is told");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/keys", listener.local_addr().expect("has an address"));
        let source = JwksUrl::new(&url).expect("is a URL");
        assert!(matches!(source.read().await, Err(JwksUrlError::Timeout)));
    }

    #[test]
    fn only_this_host_is_read_without_tls() {
        for url in ["https://id.test/keys", "http://localhost:1/k", "http://127.0.0.1/k", "http://[::1]:9/k"] {
            JwksUrl::check(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        }
        for url in ["http://id.test/keys", "http://127.0.0.1.id.test/", "ftp://localhost/"] {
            assert!(matches!(JwksUrl::check(url), Err(JwksUrlError::NotHttps)), "{url}");
        }
        for url in ["", "keys", "/keys", "id.test/keys", "https://"] {
            assert!(matches!(JwksUrl::check(url), Err(JwksUrlError::NotAUrl)), "{url}");
        }
        assert!(matches!(JwksUrl::check("https://a:b@id.test/"), Err(JwksUrlError::HasUser)));
    }
}

//! The connection: one HTTP/2 channel, which connects again by itself.

use std::{error::Error, fs, path::Path, time::Duration};

use spicedb_grpc_tonic::v1::{
    ReadSchemaRequest, RelationshipUpdate, WriteRelationshipsRequest, ZedToken,
    permissions_service_client::PermissionsServiceClient, schema_service_client::SchemaServiceClient,
    watch_service_client::WatchServiceClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri},
};

use super::{OpenError, SpiceDbOptions};

/// A silent server is given up after both, and another connection made; until then each call ends with its own, shorter
/// deadline. gRPC's servers end a connection, with all that is under way on it, at the third ping that comes before they have
/// sent anything (grpc-go, `keepalive.EnforcementPolicy`): one that is 30 s old at most gets two.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) type Authorized = InterceptedService<Channel, Key>;

/// Clones share the connection.
#[derive(Clone)]
pub(super) struct Client {
    channel: Authorized,
    /// `host:port`, for messages: never what else a URL may hold.
    pub(super) endpoint: String,
    pub(super) deadline: Duration,
}

/// Puts the preshared key into every request.
#[derive(Clone)]
pub(super) struct Key(MetadataValue<Ascii>);

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Client {
    /// Connects with the first request.
    pub(super) fn new(options: &SpiceDbOptions) -> Result<Self, OpenError> {
        let uri: Uri = options.endpoint.parse().map_err(|_| OpenError::Endpoint)?;
        let (Some(scheme), Some(host), Some(port)) = (uri.scheme_str(), uri.host(), uri.port_u16()) else {
            return Err(OpenError::Endpoint);
        };
        let (tls, name) = (scheme == "https", format!("{host}:{port}"));
        if !tls && scheme != "http" {
            return Err(OpenError::Endpoint);
        }
        let mut endpoint = Endpoint::from(uri)
            .connect_timeout(options.deadline)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        match &options.ca_file {
            Some(_) if !tls => return Err(OpenError::CaWithoutTls),
            ca_file if tls => endpoint = secured(endpoint, ca_file.as_deref())?,
            _ => {}
        }
        let key = key(&options.preshared_key)?;
        let channel = InterceptedService::new(endpoint.connect_lazy(), key);
        Ok(Self { channel, endpoint: name, deadline: options.deadline })
    }

    pub(super) fn permissions(&self) -> PermissionsServiceClient<Authorized> {
        PermissionsServiceClient::new(self.channel.clone())
    }

    pub(super) fn schema(&self) -> SchemaServiceClient<Authorized> {
        SchemaServiceClient::new(self.channel.clone())
    }

    pub(super) fn watch(&self) -> WatchServiceClient<Authorized> {
        WatchServiceClient::new(self.channel.clone())
    }

    /// A request that the server gives up at the deadline too.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        request
    }

    /// The last revision.
    pub(super) async fn head(&self) -> Result<ZedToken, Status> {
        let call = || async { self.schema().read_schema(self.request(ReadSchemaRequest {})).await };
        self.call(call).await?.into_inner().read_at.ok_or_else(no_revision)
    }

    /// The revision that holds the updates, all of them.
    pub(super) async fn write(&self, updates: Vec<RelationshipUpdate>) -> Result<ZedToken, Status> {
        metrics::counter!("sluice_spicedb_requests_total", "call" => "write").increment(1);
        let request = WriteRelationshipsRequest { updates, ..WriteRelationshipsRequest::default() };
        let call = || async { self.permissions().write_relationships(self.request(request.clone())).await };
        self.call(call).await?.into_inner().written_at.ok_or_else(no_revision)
    }

    /// The answer, or `DeadlineExceeded`. A call that was never sent is made again, once: SpiceDB closes each connection
    /// when it is 30 s old (`--grpc-max-conn-age`), and what meets it just then is handed back.
    pub(super) async fn call<T, F>(&self, call: impl Fn() -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let answer = tokio::time::timeout(self.deadline, async {
            match call().await {
                Err(status) if was_never_sent(&status) => call().await,
                answer => answer,
            }
        });
        answer.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
    }
}

fn no_revision() -> Status {
    Status::data_loss("no revision")
}

/// Hyper tells so of a request that was still in its queue when the connection ended.
fn was_never_sent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_canceled();
        }
        cause = error.source();
    }
    false
}

fn secured(endpoint: Endpoint, ca_file: Option<&Path>) -> Result<Endpoint, OpenError> {
    let Some(path) = ca_file else {
        return endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(|_| OpenError::Endpoint);
    };
    let pem = fs::read(path).map_err(|source| OpenError::CaFile { path: path.to_owned(), source })?;
    let unreadable = || OpenError::Certificates { path: path.to_owned() };
    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Err(unreadable());
    }
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    endpoint.tls_config(tls).map_err(|_| unreadable())
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn key(preshared: &str) -> Result<Key, OpenError> {
    let mut key: MetadataValue<Ascii> = format!("Bearer {preshared}").parse().map_err(|_| OpenError::KeyText)?;
    key.set_sensitive(true);
    Ok(Key(key))
}

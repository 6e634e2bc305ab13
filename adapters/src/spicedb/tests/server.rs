//! SpiceDB's services in this process, which answer as they are told and remember what they were asked.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use spicedb_grpc_tonic::v1::{
    CheckBulkPermissionsPair, CheckBulkPermissionsRequest, CheckBulkPermissionsRequestItem,
    CheckBulkPermissionsResponse, CheckBulkPermissionsResponseItem, ReadSchemaRequest, ReadSchemaResponse,
    WriteRelationshipsRequest, WriteRelationshipsResponse, ZedToken, check_bulk_permissions_pair::Response as Answer,
    check_permission_response::Permissionship,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::task::AbortOnDropHandle;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Context, Poll, Service, http},
    server::{Grpc, NamedService},
    transport::server::TcpIncoming,
};
use tonic_prost::ProstCodec;

pub(super) type Reply = Result<CheckBulkPermissionsResponse, Status>;

/// The revision of every answer.
pub(super) const REVISION: &str = "r-1";

/// The revision of a write, the first of which is 1.
pub(super) fn written(number: usize) -> String {
    format!("w-{number}")
}

/// Ends with its connections where it is dropped.
pub(super) struct Server {
    pub(super) port: u16,
    state: Arc<State>,
    _task: AbortOnDropHandle<()>,
}

struct State {
    asked: watch::Sender<Vec<CheckBulkPermissionsRequest>>,
    stalled: watch::Sender<bool>,
    /// How long an answer takes.
    takes: watch::Sender<Duration>,
    writes: AtomicUsize,
    reply: Box<dyn Fn(&CheckBulkPermissionsRequest) -> Reply + Send + Sync>,
}

impl Server {
    pub(super) async fn start(reply: impl Fn(&CheckBulkPermissionsRequest) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, stalled) = (watch::Sender::new(Vec::new()), watch::Sender::new(false));
        let takes = watch::Sender::new(Duration::ZERO);
        let state = Arc::new(State { asked, stalled, takes, writes: AtomicUsize::new(0), reply: Box::new(reply) });
        let router = tonic::transport::Server::builder()
            .add_service(Permissions(state.clone()))
            .add_service(Schemas(state.clone()));
        let task = tokio::spawn(async move { router.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap() });
        Self { port, state, _task: AbortOnDropHandle::new(task) }
    }

    /// From now on checks are not answered.
    pub(super) fn stall(&self) {
        self.state.stalled.send_replace(true);
    }

    /// Answers what waits, and what comes.
    pub(super) fn go_on(&self) {
        self.state.stalled.send_replace(false);
    }

    /// From now on each answer takes so long.
    pub(super) fn takes(&self, time: Duration) {
        self.state.takes.send_replace(time);
    }

    /// Until so many bulk checks have come.
    pub(super) async fn was_asked(&self, times: usize) {
        drop(self.state.asked.subscribe().wait_for(|asked| asked.len() >= times).await.unwrap());
    }

    pub(super) fn requests(&self) -> Vec<CheckBulkPermissionsRequest> {
        self.state.asked.borrow().clone()
    }

    /// The users that each bulk check asked about, in order.
    pub(super) fn users(&self) -> Vec<Vec<String>> {
        self.requests().iter().map(|request| request.items.iter().map(user).collect()).collect()
    }
}

/// Without its tenant.
pub(super) fn user(item: &CheckBulkPermissionsRequestItem) -> String {
    let id = &item.subject.as_ref().unwrap().object.as_ref().unwrap().object_id;
    id.strip_prefix("acme/").unwrap().to_owned()
}

/// A right reply, with `answer` for each user.
pub(super) fn each(
    answer: impl Fn(&str) -> Option<Answer> + Send + Sync,
) -> impl Fn(&CheckBulkPermissionsRequest) -> Reply + Send + Sync {
    move |request| {
        let pair = |item: &CheckBulkPermissionsRequestItem| CheckBulkPermissionsPair {
            request: Some(item.clone()),
            response: answer(&user(item)),
        };
        let checked_at = Some(ZedToken { token: REVISION.to_owned() });
        Ok(CheckBulkPermissionsResponse { checked_at, pairs: request.items.iter().map(pair).collect() })
    }
}

pub(super) fn told(permissionship: i32) -> Option<Answer> {
    Some(Answer::Item(CheckBulkPermissionsResponseItem { permissionship, ..Default::default() }))
}

/// Yes to users whose name ends with an even digit.
pub(super) fn even(user: &str) -> Option<Answer> {
    let yes = user.ends_with(['0', '2', '4', '6', '8']);
    told(if yes { Permissionship::HasPermission } else { Permissionship::NoPermission }.into())
}

/// The permissions service: bulk checks.
#[derive(Clone)]
struct Permissions(Arc<State>);

impl NamedService for Permissions {
    const NAME: &'static str = "authzed.api.v1.PermissionsService";
}

impl Service<Request<CheckBulkPermissionsRequest>> for Permissions {
    type Response = Response<CheckBulkPermissionsResponse>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<CheckBulkPermissionsRequest>) -> Self::Future {
        let (state, request) = (self.0.clone(), request.into_inner());
        Box::pin(async move {
            state.asked.send_modify(|asked| asked.push(request.clone()));
            drop(state.stalled.subscribe().wait_for(|stalled| !stalled).await);
            let takes = *state.takes.borrow();
            tokio::time::sleep(takes).await;
            (state.reply)(&request).map(Response::new)
        })
    }
}

/// The schema service: a schema that is asked for at the start.
#[derive(Clone)]
struct Schemas(Arc<State>);

impl NamedService for Schemas {
    const NAME: &'static str = "authzed.api.v1.SchemaService";
}

impl Service<Request<ReadSchemaRequest>> for Schemas {
    type Response = Response<ReadSchemaResponse>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ReadSchemaRequest>) -> Self::Future {
        let read_at = Some(ZedToken { token: REVISION.to_owned() });
        let read = ReadSchemaResponse { schema_text: "definition user {}".to_owned(), read_at };
        Box::pin(async { Ok(Response::new(read)) })
    }
}

/// Writes are answered at once, whether or not checks are stalled.
#[derive(Clone)]
struct Writes(Arc<State>);

impl Service<Request<WriteRelationshipsRequest>> for Writes {
    type Response = Response<WriteRelationshipsResponse>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<WriteRelationshipsRequest>) -> Self::Future {
        let number = 1 + self.0.writes.fetch_add(1, Ordering::Relaxed);
        let written_at = Some(ZedToken { token: written(number) });
        Box::pin(async { Ok(Response::new(WriteRelationshipsResponse { written_at })) })
    }
}

/// A service answers its one method, and whatever else is called is a write.
macro_rules! over_http {
    ($service:ty, $method:literal, $request:ty, $response:ty) => {
        impl Service<http::Request<Body>> for $service {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = BoxFuture<Self::Response, Infallible>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Body>) -> Self::Future {
                if !request.uri().path().ends_with($method) {
                    let codec = ProstCodec::<WriteRelationshipsResponse, WriteRelationshipsRequest>::default();
                    let writes = Writes(self.0.clone());
                    return Box::pin(async move { Ok(Grpc::new(codec).unary(writes, request).await) });
                }
                let service = self.clone();
                let codec = ProstCodec::<$response, $request>::default();
                Box::pin(async move { Ok(Grpc::new(codec).unary(service, request).await) })
            }
        }
    };
}

over_http!(Permissions, "/CheckBulkPermissions", CheckBulkPermissionsRequest, CheckBulkPermissionsResponse);
over_http!(Schemas, "/ReadSchema", ReadSchemaRequest, ReadSchemaResponse);

//! GraphQL over HTTP (graphql.github.io/graphql-over-http), by POST. There is no GET: a query in a URL would be logged on
//! its way.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use sluice_schema::{
    error::{ClientError, Code},
    viewer::Viewer,
};
use tokio::time::timeout;

use super::{
    Answer, GraphqlRequest, OperationType, Parsed, Transport, TransportConfig,
    admitted::Admitted,
    bearer,
    negotiate::{Media, is_json},
    router::Context,
    status::{Refused, error_body, http_status, respond},
    unread,
    viewers::Held,
};

fn refused(status: StatusCode, text: impl Into<std::borrow::Cow<'static, str>>) -> Refused {
    Refused { status, error: ClientError::new(Code::BadRequest, text), retry: None }
}

pub(super) async fn post(State(context): State<Arc<Context>>, request: Request) -> Response {
    let media = Media::accepted(request.headers());
    // Nobody can be answered in a type that is not accepted; the error goes out in the common one.
    let spoken = media.unwrap_or(Media::Json);
    let answered = match media {
        Some(_) => answer(&context, request, spoken).await,
        None => Err(refused(
            StatusCode::NOT_ACCEPTABLE,
            "Answers are `application/graphql-response+json` or `application/json`: accept one of them.",
        )),
    };
    answered.unwrap_or_else(|refused| refused.respond(spoken.content_type()))
}

async fn answer(context: &Context, request: Request, media: Media) -> Result<Response, Refused> {
    if !is_json(request.headers()) {
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be `Content-Type: application/json`."));
    }
    let viewer = Arc::new(bearer::authenticate(&*context.gate, request.headers()).await?);
    let held = context.viewers.start(&viewer)?;
    let request = read(request, &context.config).await?;
    match context.gate.parse(request) {
        Err(error) => Ok(not_executed(media, http_status(error.code), error_body(&error))),
        Ok(parsed) if parsed.operation_type() == OperationType::Subscription => Err(refused(
            StatusCode::BAD_REQUEST,
            "A subscription needs a WebSocket: connect to /graphql with the subprotocol `graphql-transport-ws`.",
        )),
        Ok(parsed) => {
            let admitted = Admitted::by(&*context.gate, &viewer)?;
            let (answer, held) = admitted.unless_revoked(execute(context, viewer, held, parsed)).await??;
            Ok(executed(media, answer.executed, unread::body(answer.body, held)))
        }
    }
}

/// A mutation runs to its end even if the client goes away meanwhile, or its token is revoked; a query does not.
async fn execute(
    context: &Context,
    viewer: Arc<Viewer>,
    held: Held,
    parsed: Box<dyn Parsed>,
) -> Result<(Answer, Held), Refused> {
    if parsed.operation_type() != OperationType::Mutation {
        return Ok((parsed.execute(viewer, Transport::Http).await, held));
    }
    let running = context.tasks.spawn(async move { (parsed.execute(viewer, Transport::Http).await, held) });
    running.await.map_err(|_| ClientError::new(Code::Internal, "A fault of ours; it is unknown what was done.").into())
}

fn executed(media: Media, executed: bool, body: Body) -> Response {
    if executed {
        respond(StatusCode::OK, media.content_type(), body)
    } else {
        not_executed(media, StatusCode::BAD_REQUEST, body)
    }
}

/// With `application/json` a well-formed request is answered with 200, whatever became of it (section 6.4.1).
fn not_executed(media: Media, status: StatusCode, body: impl Into<Body>) -> Response {
    let is_old = media == Media::Json && status == StatusCode::BAD_REQUEST;
    respond(if is_old { StatusCode::OK } else { status }, media.content_type(), body)
}

async fn read(request: Request, config: &TransportConfig) -> Result<GraphqlRequest, Refused> {
    let (limit, wait) = (config.max_body_bytes, config.body_timeout);
    let late =
        || refused(StatusCode::REQUEST_TIMEOUT, format!("The body did not come within {} ms.", wait.as_millis()));
    let large = || refused(StatusCode::PAYLOAD_TOO_LARGE, format!("The body may have {limit} bytes at most."));
    let body = timeout(wait, to_bytes(request.into_body(), limit)).await.map_err(|_| late())?;
    // The other error is a client that went away, and that sees no answer.
    let body = body.map_err(|_| large())?;
    GraphqlRequest::parse(&body).map_err(|text| refused(StatusCode::BAD_REQUEST, text))
}

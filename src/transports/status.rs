//! Errors over HTTP: the one place where a code becomes a status, and an error a body.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::json;
use sluice_schema::error::{ClientError, Code};

use super::viewers::Busy;

/// The HTTP status (RFC 9110, section 15) that says about the same as `code`.
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::PermissionRevoked => StatusCode::FORBIDDEN,
        Code::Conflict | Code::IdempotencyConflict => StatusCode::CONFLICT,
        Code::CursorExpired => StatusCode::GONE,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::ParseFailed
        | Code::ValidationFailed
        | Code::BadRequest
        | Code::InvalidId
        | Code::InvalidNpi
        | Code::InvalidDate
        | Code::InvalidText
        | Code::UnknownPayer
        | Code::UnknownServiceType
        | Code::InvalidIdempotencyKey
        | Code::InvalidChannel
        | Code::InvalidPage
        | Code::MalformedCursor
        | Code::LimitExceeded => StatusCode::BAD_REQUEST,
    }
}

/// Why a request gets no answer from behind the transports.
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) error: ClientError,
    /// When to ask again, where that is known.
    pub(super) retry: Option<Duration>,
}

impl From<ClientError> for Refused {
    fn from(error: ClientError) -> Self {
        Self { status: http_status(error.code), error, retry: None }
    }
}

/// 429 (RFC 6585, section 4): whatever it was, later it may be answered.
impl From<Busy> for Refused {
    fn from(Busy { retry, error }: Busy) -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, error, retry: Some(retry) }
    }
}

impl Refused {
    pub(super) fn respond(&self, content_type: &'static str) -> Response {
        let mut response = respond(self.status, content_type, error_body(&self.error));
        if let Some(retry) = self.retry {
            // In whole seconds (RFC 9110, section 10.2.3), and not before.
            let seconds = retry.as_secs() + u64::from(retry.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// `{"errors":[…]}`: a GraphQL response to a request that was not executed, and the shape of errors everywhere else.
pub(super) fn error_body(error: &ClientError) -> String {
    json!({ "errors": [error.to_graphql()] }).to_string()
}

/// The error as an answer of type `application/json`, with the status that fits its code.
pub(super) fn error_response(error: &ClientError) -> Response {
    respond(http_status(error.code), "application/json; charset=utf-8", error_body(error))
}

/// An answer that no cache keeps and no browser guesses the type of. 401 and 503 get the headers that belong to them.
pub(super) fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    match status {
        StatusCode::UNAUTHORIZED => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        StatusCode::SERVICE_UNAVAILABLE => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
        _ => None,
    };
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_status_of_an_error() {
        for code in Code::ALL {
            let status = http_status(*code);
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
        }
    }
}

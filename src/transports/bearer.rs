use axum::http::{HeaderMap, header};
use sluice_schema::{
    error::{ClientError, Code},
    viewer::Viewer,
};

use super::Gate;

/// The viewer that the `Authorization` header names (RFC 6750, section 2.1). A token in the URL or a form is not read:
/// those are logged on the way.
pub(super) async fn authenticate(gate: &dyn Gate, headers: &HeaderMap) -> Result<Viewer, ClientError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(missing()) };
    let token = value.to_str().ok().and_then(token).ok_or_else(missing)?;
    gate.authenticate(token).await
}

/// The token in a text of the form `Bearer <token>`; the scheme's case does not count (RFC 9110, section 11.1).
pub(super) fn token(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

pub(super) fn missing() -> ClientError {
    ClientError::new(Code::Unauthenticated, "A token is needed: send `Authorization: Bearer <token>`, once.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_one() {
        assert_eq!(token("Bearer abc"), Some("abc"));
        assert_eq!(token("bearer  abc"), Some("abc"));
        for other in ["", "abc", "Bearer", "Bearer ", "Basic abc"] {
            assert_eq!(token(other), None, "{other}");
        }
    }
}

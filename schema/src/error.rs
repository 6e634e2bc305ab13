//! Errors that a client may see: a code to act on and a text to read. Each transport turns them into its own shape in one
//! place; what went wrong inside is logged under a correlation id and is never in here. docs/errors.md lists the codes.

use std::{borrow::Cow, fmt};

use serde_json::{Map, Value, json};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)+) => {
        /// What went wrong, for a program: `extensions.code`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)+ }

        impl Code {
            /// All codes, in the order of docs/errors.md.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

codes! {
    /// No token, or one that does not hold.
    Unauthenticated = "UNAUTHENTICATED",
    /// There is no such thing, or the viewer may not see it: the two are not told apart.
    NotFound = "NOT_FOUND",
    /// What was watched may not be seen any more.
    PermissionRevoked = "PERMISSION_REVOKED",
    /// Not GraphQL.
    ParseFailed = "GRAPHQL_PARSE_FAILED",
    /// GraphQL, but not for this schema.
    ValidationFailed = "GRAPHQL_VALIDATION_FAILED",
    /// A request that is not of its protocol's form.
    BadRequest = "BAD_REQUEST",
    InvalidId = "INVALID_ID",
    InvalidNpi = "INVALID_NPI",
    InvalidDate = "INVALID_DATE",
    /// A text that is empty, too long, or holds control characters.
    InvalidText = "INVALID_TEXT",
    UnknownPayer = "UNKNOWN_PAYER",
    UnknownServiceType = "UNKNOWN_SERVICE_TYPE",
    InvalidIdempotencyKey = "INVALID_IDEMPOTENCY_KEY",
    /// The key was used before, with other input.
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT",
    /// Somebody else was first, or the state does not allow it any more.
    Conflict = "CONFLICT",
    InvalidChannel = "INVALID_CHANNEL",
    InvalidPage = "INVALID_PAGE",
    MalformedCursor = "CURSOR_MALFORMED",
    /// Events behind this cursor are gone; `extensions.earliest` is where reading can begin.
    CursorExpired = "CURSOR_EXPIRED",
    /// Deeper, longer, costlier or more than is allowed; the text names the limit.
    LimitExceeded = "LIMIT_EXCEEDED",
    /// A part that is needed is away. Nothing has happened by halves: try again.
    Unavailable = "UNAVAILABLE",
    /// A fault of ours; `extensions.correlationId` finds it in the log.
    Internal = "INTERNAL",
}

/// An error that a client may see.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientError {
    pub code: Code,
    /// What was wrong, where, and what to do. No PHI, and nothing of the input repeated.
    pub message: Cow<'static, str>,
    /// More for a program, beside `code` in `extensions`.
    pub details: Map<String, Value>,
}

impl ClientError {
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Map::new() }
    }

    /// The one answer for "does not exist" and "not yours".
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "There is nothing under this id that you may see.")
    }

    pub fn unavailable() -> Self {
        Self::new(Code::Unavailable, "A part of the service is away; nothing was done. Try again shortly.")
    }

    /// Bad input: which argument it is about.
    pub fn at(mut self, field: &str) -> Self {
        self.details.insert("field".into(), field.into());
        self
    }

    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.into(), value.into());
        self
    }

    /// As an entry of a GraphQL response's `errors`.
    pub fn to_graphql(&self) -> Value {
        let mut extensions = self.details.clone();
        extensions.insert("code".into(), self.code.as_str().into());
        json!({ "message": self.message, "extensions": extensions })
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for ClientError {}

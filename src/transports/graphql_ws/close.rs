use std::time::Duration;

use sluice_subscriptions::audit::EndReason;

use super::super::websocket::MAX_REASON;

/// How a socket is closed. The 4xxx codes and their texts are PROTOCOL.md's. What the reference client does with them: it
/// connects again after 1001, 1013, 4403 and 4408, and gives up after the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    reason: String,
    /// Whether what is queued already is sent before.
    pub(super) after_queue: bool,
    /// Why the socket's subscriptions end with it, for the audit trail.
    pub(super) why: EndReason,
}

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        Self { code, reason, after_queue: false, why: EndReason::ConnectionClosed }
    }

    fn because(self, why: EndReason) -> Self {
        Self { why, ..self }
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) fn going_away(retry: Duration) -> Self {
        let reason = format!("Going away: connect again in {} ms and resume with your last cursor", retry.as_millis());
        Self { after_queue: true, ..Self::new(1001, reason) }.because(EndReason::Shutdown)
    }

    pub(super) fn silent() -> Self {
        Self::new(1001, "No answer to pings: connect again and resume with your last cursor")
    }

    pub(super) fn lagging(retry: Duration) -> Self {
        let retry = retry.as_millis();
        Self::new(
            1013,
            format!("Too slow, what waited was dropped: connect again in {retry} ms and resume with your last cursor"),
        )
        .because(EndReason::Lagging)
    }

    pub(super) fn too_many(retry: Duration) -> Self {
        let retry = retry.as_millis();
        Self::new(1013, format!("Too many connections or operations of this user: connect again in {retry} ms"))
    }

    pub(super) fn unavailable() -> Self {
        Self::new(1013, "A part of the service is away: connect again shortly")
    }

    pub(super) fn not_websocket() -> Self {
        Self::new(1002, "Not as RFC 6455 has it")
    }

    pub(super) fn not_text() -> Self {
        Self::new(1007, "Not text: messages are UTF-8")
    }

    pub(super) fn invalid(what: &str) -> Self {
        Self::new(4400, format!("Invalid message: {what}"))
    }

    pub(super) fn too_big(limit: usize) -> Self {
        Self::invalid(&format!("it may have {limit} bytes at most"))
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(4403, "Forbidden: a valid token is needed as `authorization` in the payload of connection_init")
    }

    pub(super) fn expired() -> Self {
        Self::new(
            4403,
            "Forbidden: the token has expired; connect again with a new one and resume with your last cursor",
        )
        .because(EndReason::TokenExpired)
    }

    pub(super) fn revoked() -> Self {
        Self::new(
            4403,
            "Forbidden: the token was revoked; connect again with a new one and resume with your last cursor",
        )
        .because(EndReason::TokenRevoked)
    }

    pub(super) fn another() -> Self {
        Self::new(4403, "Forbidden: the newer token is another user's or for another purpose; connect with it instead")
    }

    pub(super) fn subprotocol() -> Self {
        Self::new(4406, "Subprotocol not acceptable: use graphql-transport-ws")
    }

    pub(super) fn init_timeout() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }

    pub(super) fn duplicate(id: &str) -> Self {
        // The id comes before the words, and may be long: the words must not be cut off.
        let (before, after) = ("Subscriber for ", " already exists");
        let id = &id[..id.floor_char_boundary(MAX_REASON - before.len() - after.len())];
        Self::new(4409, format!("{before}{id}{after}"))
    }

    pub(super) fn too_many_inits() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }

    pub(super) fn internal() -> Self {
        Self::new(4500, "Internal server error")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_why_subscriptions_end_with_it() {
        for (close, why) in [
            (Close::going_away(Duration::ZERO), EndReason::Shutdown),
            (Close::lagging(Duration::ZERO), EndReason::Lagging),
            (Close::expired(), EndReason::TokenExpired),
            (Close::revoked(), EndReason::TokenRevoked),
            (Close::silent(), EndReason::ConnectionClosed),
        ] {
            assert_eq!(close.why, why, "{close:?}");
        }
    }

    #[test]
    fn a_reason_fits_its_frame_and_stays_text() {
        let all = [
            Close::going_away(Duration::MAX),
            Close::silent(),
            Close::lagging(Duration::MAX),
            Close::too_many(Duration::MAX),
            Close::unavailable(),
            Close::too_big(usize::MAX),
            Close::forbidden(),
            Close::expired(),
            Close::revoked(),
            Close::another(),
            Close::subprotocol(),
        ];
        for close in all {
            assert!(close.reason.len() < MAX_REASON, "{close:?} is cut");
        }
        let close = Close::duplicate(&"é".repeat(200));
        assert!(close.reason.len() <= MAX_REASON);
        assert!(close.reason.ends_with("é already exists"));
        assert!(Close::invalid(&"é".repeat(200)).reason.len() <= MAX_REASON);
    }
}

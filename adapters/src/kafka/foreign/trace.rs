//! What an event says it belongs to. Only what is well-formed is taken over.

use std::collections::BTreeMap;

use sluice_domain::publish::Cause;

/// From the attributes `traceparent` (CloudEvents' distributed tracing extension) and `correlationid`.
pub(super) fn cause(attributes: &BTreeMap<String, String>) -> Cause {
    let taken = |name: &str, is_well_formed: fn(&str) -> bool| {
        attributes.get(name).filter(|value| is_well_formed(value)).cloned().unwrap_or_default()
    };
    Cause {
        correlation_id: taken("correlationid", is_correlation_id),
        causation_id: String::new(),
        traceparent: taken("traceparent", is_traceparent),
    }
}

fn is_correlation_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// W3C Trace Context, section 3.2.2, version 00.
pub(super) fn is_traceparent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    let nonzero = |part: &str| part.bytes().any(|b| b != b'0');
    lengths == [2, 32, 16, 2]
        && parts.iter().all(|part| hex(part))
        && parts[0] == "00"
        && nonzero(parts[1])
        && nonzero(parts[2])
}

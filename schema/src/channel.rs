//! Channels: the paths that events travel on, and the patterns that subscribers name.
//!
//! A channel is derived from its event (`/members/m-1/eligibility/ec-1`). A pattern may put `*` for one segment and end
//! in `**` for all that follow, none included. The tenant is never part of a path: the viewer implies it.

use std::{fmt, str::FromStr, sync::Arc};

use crate::ids::{CheckId, MemberId};

/// The longest channel or pattern, in bytes and in segments.
const MAX_BYTES: usize = 512;
const MAX_SEGMENTS: usize = 16;

/// Why a text is not a channel or pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChannel {
    #[error("a channel begins with '/' and does not end with one, like /members/m-1/eligibility/**")]
    Slashes,
    #[error("a channel has at most {MAX_SEGMENTS} segments and {MAX_BYTES} bytes")]
    TooLong,
    #[error("a segment of a channel is A-Z, a-z, 0-9, '_', '-', or a whole '*' or '**'")]
    Segment,
    #[error("'**' may only be the last segment of a channel")]
    RestNotLast,
}

/// The path that one event travels on; no wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

impl Channel {
    /// Where everything about one eligibility check is told.
    pub fn eligibility_check(member: &MemberId, check: &CheckId) -> Self {
        Self(format!("/members/{member}/eligibility/{check}").into())
    }

    /// Where it is told who opened a member's record otherwise than by a standing right.
    pub fn member_emergency(member: &MemberId) -> Self {
        Self(format!("/members/{member}/emergency").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments between the slashes.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0[1..].split('/')
    }
}

impl FromStr for Channel {
    type Err = InvalidChannel;

    fn from_str(text: &str) -> Result<Self, InvalidChannel> {
        let pattern: ChannelPattern = text.parse()?;
        if pattern.is_exact() { Ok(Self(pattern.0)) } else { Err(InvalidChannel::Segment) }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a subscriber names: a channel, or many by wildcards. A wildcard never widens access: each event is decided on
/// its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChannelPattern(Arc<str>);

impl ChannelPattern {
    /// All eligibility checks of one member.
    pub fn member_eligibility(member: &MemberId) -> Self {
        Self(format!("/members/{member}/eligibility/*").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments between the slashes, wildcards as they stand.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0[1..].split('/')
    }

    /// The one member whose channels these are, where it names one.
    pub fn member(&self) -> Option<MemberId> {
        let id = self.0.strip_prefix("/members/")?.split('/').next()?;
        // A wildcard is no id.
        id.parse().ok()
    }

    /// Whether it names just one channel.
    pub fn is_exact(&self) -> bool {
        self.segments().all(|segment| segment != "*" && segment != "**")
    }

    /// Whether a channel of this text could be one that it matches: a quick look that spares most of the readings.
    pub fn may_match(&self, channel: &str) -> bool {
        let literal = self.0.find('*').unwrap_or(self.0.len());
        // `/a/**` matches `/a` too.
        channel.as_bytes().starts_with(self.0[..literal].trim_end_matches('/').as_bytes())
    }

    pub fn matches(&self, channel: &Channel) -> bool {
        let mut path = channel.segments();
        for wanted in self.segments() {
            match (wanted, path.next()) {
                ("**", _) => return true,
                ("*", Some(_)) => {}
                (literal, Some(segment)) if literal == segment => {}
                _ => return false,
            }
        }
        path.next().is_none()
    }
}

impl From<Channel> for ChannelPattern {
    fn from(channel: Channel) -> Self {
        Self(channel.0)
    }
}

impl FromStr for ChannelPattern {
    type Err = InvalidChannel;

    fn from_str(text: &str) -> Result<Self, InvalidChannel> {
        let path = text.strip_prefix('/').ok_or(InvalidChannel::Slashes)?;
        if path.is_empty() || path.ends_with('/') {
            return Err(InvalidChannel::Slashes);
        }
        let segments: Vec<_> = path.split('/').collect();
        if text.len() > MAX_BYTES || segments.len() > MAX_SEGMENTS {
            return Err(InvalidChannel::TooLong);
        }
        for (i, segment) in segments.iter().enumerate() {
            match *segment {
                "**" if i + 1 < segments.len() => return Err(InvalidChannel::RestNotLast),
                "*" | "**" => {}
                literal if is_literal(literal) => {}
                _ => return Err(InvalidChannel::Segment),
            }
        }
        Ok(Self(text.into()))
    }
}

fn is_literal(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl fmt::Display for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, channel: &str) -> bool {
        pattern.parse::<ChannelPattern>().expect(pattern).matches(&channel.parse().expect(channel))
    }

    #[test]
    fn wildcards_match_as_bayeux_globs_do() {
        assert!(matches("/members/m-1/eligibility/ec-1", "/members/m-1/eligibility/ec-1"));
        assert!(matches("/members/*/eligibility/*", "/members/m-1/eligibility/ec-1"));
        assert!(matches("/members/m-1/**", "/members/m-1/eligibility/ec-1"));
        assert!(matches("/members/m-1/**", "/members/m-1"));
        assert!(matches("/**", "/anything"));
        assert!(!matches("/members/*", "/members/m-1/eligibility"));
        assert!(!matches("/members/m-1", "/members/m-10"));
        assert!(!matches("/members/m-1/eligibility/*", "/members/m-1/eligibility"));
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let error = |text: &str| text.parse::<ChannelPattern>().expect_err(text);
        assert_eq!(error("members"), InvalidChannel::Slashes);
        assert_eq!(error("/"), InvalidChannel::Slashes);
        assert_eq!(error("/members/"), InvalidChannel::Slashes);
        assert_eq!(error("/members//x"), InvalidChannel::Segment);
        assert_eq!(error("/**/x"), InvalidChannel::RestNotLast);
        assert_eq!(error("/members/m*"), InvalidChannel::Segment);
        assert_eq!(error(&format!("/{}", "a/".repeat(16) + "a")), InvalidChannel::TooLong);
        assert!("/members/*".parse::<Channel>().is_err());
    }
}

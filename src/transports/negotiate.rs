//! Media types of GraphQL over HTTP (spec, sections 4.1 "Media Types" and 6.4 "Response").

use axum::http::{HeaderMap, header};

/// What an answer is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/graphql-response+json`: the status says whether the request was executed.
    GraphqlResponse,
    /// `application/json`: 200 for any well-formed request.
    Json,
}

impl Media {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// What the client likes best of what we can send; `None` is 406. No `Accept` and wildcards mean
    /// `application/json`, which older clients understand.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let values: Vec<_> = headers.get_all(header::ACCEPT).iter().collect();
        if values.is_empty() {
            return Some(Self::Json);
        }
        let ranges: Vec<_> = values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(Range::parse)
            .collect();
        let best = [Self::GraphqlResponse, Self::Json].map(|media| (media, media.quality(&ranges)));
        // The exact name of the new type goes before a wildcard or the old name of the same weight.
        let [(new, new_quality), (old, old_quality)] = best;
        match (new_quality, old_quality) {
            (0, 0) => None,
            (new_quality, old_quality) if new_quality >= old_quality && new.is_named(&ranges) => Some(new),
            (_, 0) => Some(new),
            _ => Some(old),
        }
    }

    fn subtype(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "graphql-response+json",
            Self::Json => "json",
        }
    }

    fn is_named(self, ranges: &[Range<'_>]) -> bool {
        ranges.iter().any(|range| range.subtype.eq_ignore_ascii_case(self.subtype()))
    }

    /// In thousandths; the most specific range that fits decides (RFC 9110, section 12.5.1).
    fn quality(self, ranges: &[Range<'_>]) -> u16 {
        let specificity = |range: &&Range<'_>| match (range.kind, range.subtype) {
            ("*", "*") => Some(1),
            (kind, "*") if kind.eq_ignore_ascii_case("application") => Some(2),
            (kind, subtype) => {
                (kind.eq_ignore_ascii_case("application") && subtype.eq_ignore_ascii_case(self.subtype())).then_some(3)
            }
        };
        let fitting = ranges.iter().filter_map(|range| Some((specificity(&range)?, range.quality)));
        fitting.max().map_or(0, |(_, quality)| quality)
    }
}

struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: u16,
}

impl<'a> Range<'a> {
    /// Passes over what is not of the form `type/subtype;…;q=…`, and what asks for another charset than UTF-8.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut quality = 1000;
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                q if q.eq_ignore_ascii_case("q") => quality = thousandths(value.trim())?,
                charset if charset.eq_ignore_ascii_case("charset") && !is_utf8(value) => return None,
                _ => {}
            }
        }
        Some(Self { kind, subtype, quality })
    }
}

fn thousandths(q: &str) -> Option<u16> {
    let q: f32 = q.parse().ok()?;
    (0.0..=1.0).contains(&q).then_some((q * 1000.0).round() as u16)
}

fn is_utf8(charset: &str) -> bool {
    charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
}

/// Whether the body is declared to be JSON. It is required: no HTML form can send this type to another site without that
/// site's consent, so it is what keeps forged requests out.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let range = value.to_str().ok().and_then(Range::parse);
    range.is_some_and(|range| {
        range.kind.eq_ignore_ascii_case("application") && range.subtype.eq_ignore_ascii_case("json")
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accepted(accept: &'static str) -> Option<Media> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        Media::accepted(&headers)
    }

    #[test]
    fn the_client_chooses() {
        let (new, old) = (Some(Media::GraphqlResponse), Some(Media::Json));
        assert_eq!(Media::accepted(&HeaderMap::new()), old);
        let cases = [
            ("*/*", old),
            ("application/*", old),
            ("application/json", old),
            ("application/json; charset=utf-8", old),
            ("application/graphql-response+json", new),
            ("Application/GraphQL-Response+JSON; charset=utf-8", new),
            ("application/graphql-response+json, application/json;q=0.9", new),
            ("application/json, application/graphql-response+json", new),
            ("application/json, application/graphql-response+json;q=0.5", old),
            ("multipart/mixed;subscriptionSpec=1.0, application/graphql-response+json, */*;q=0.1", new),
            ("application/json;q=0, */*", new),
            ("application/json; charset=utf-16", None),
            ("application/json;q=0", None),
            ("text/html", None),
            ("text/event-stream", None),
            ("", None),
        ];
        for (accept, expected) in cases {
            assert_eq!(accepted(accept), expected, "{accept}");
        }
    }

    #[test]
    fn only_json_is_json() {
        let is = |content_type: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            is_json(&headers)
        };
        assert!(is("application/json"));
        assert!(is("Application/JSON; charset=\"UTF-8\""));
        for other in ["text/plain", "application/jsonx", "application/json; charset=latin1", "multipart/form-data", ""]
        {
            assert!(!is(other), "{other}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}

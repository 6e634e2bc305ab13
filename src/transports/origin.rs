use axum::http::{HeaderMap, HeaderName, header};

/// Whether a page of this origin may open a WebSocket here (RFC 6455, section 10.2). Browsers always send `Origin` on
/// an upgrade, and no page can change it; what sends none is not a browser, and may come. `null` (a sandboxed page) may
/// not.
pub(super) fn is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    if !headers.contains_key(header::ORIGIN) {
        return true;
    }
    let Some(origin) = single(headers, header::ORIGIN) else { return false };
    if allowed.is_empty() {
        single(headers, header::HOST).is_some_and(|host| is_same(origin, host))
    } else {
        allowed.iter().any(|one| one.eq_ignore_ascii_case(origin))
    }
}

fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok()
}

/// Same host and port. The scheme is not compared: a proxy that ends TLS hides ours.
fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    !host.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn allowed(origin: Option<&'static str>, host: &'static str, list: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.append(header::ORIGIN, HeaderValue::from_static(origin));
        }
        is_allowed(&headers, &list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_list_only_the_own_host_may_come() {
        assert!(allowed(None, "a.test", &[]));
        assert!(allowed(Some("https://a.test"), "a.test", &[]));
        assert!(allowed(Some("https://A.test"), "a.test:443", &[]));
        assert!(allowed(Some("http://127.0.0.1:4000"), "127.0.0.1:4000", &[]));
        for origin in ["https://b.test", "https://a.test.evil", "http://a.test:81", "null", "a.test", "file://a.test"] {
            assert!(!allowed(Some(origin), "a.test", &[]), "{origin}");
        }
    }

    #[test]
    fn with_a_list_only_those_on_it_may_come() {
        let list = ["https://portal.test"];
        assert!(allowed(Some("https://portal.test"), "a.test", &list));
        assert!(allowed(None, "a.test", &list));
        for origin in ["http://portal.test", "https://portal.test:444", "https://a.test"] {
            assert!(!allowed(Some(origin), "a.test", &list), "{origin}");
        }
    }

    #[test]
    fn two_origins_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::ORIGIN, HeaderValue::from_static("https://portal.test"));
        headers.append(header::ORIGIN, HeaderValue::from_static("https://portal.test"));
        assert!(!is_allowed(&headers, &["https://portal.test".into()]));
    }
}

//! What becomes of a response's head on HTTP/2.

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{self, HeaderName},
};
use http_body::Body;

use crate::date;

/// Fields of a connection, which HTTP/2 does not have (RFC 9113, section 8.2.2).
const FORBIDDEN: [HeaderName; 5] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
];

/// A response without its body, as it goes on the wire, and the body unless there is none to send.
pub(super) fn prepare<B: Body>(response: Response<B>, is_head: bool) -> (Response<()>, Option<B>) {
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    parts.headers.entry(header::DATE).or_insert_with(date::now);
    let bodiless = matches!(
        parts.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let is_empty = body.is_end_stream();
    if let (false, false, Some(length)) = (bodiless, is_empty, body.size_hint().exact()) {
        // On HEAD too: what GET would send (RFC 9110, section 8.6).
        parts
            .headers
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
    let body = (!bodiless && !is_empty && !is_head).then_some(body);
    (Response::from_parts(parts, ()), body)
}

/// Removes what `h2` would refuse to send. An application that serves HTTP/1.1 too may well set it.
fn strip(fields: &mut HeaderMap) {
    for name in FORBIDDEN {
        fields.remove(name);
    }
    // Names further fields that are the connection's own (RFC 9110, section 7.6.1).
    for named in fields
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|names| names.to_str().ok())
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_owned())
        .collect::<Vec<_>>()
    {
        fields.remove(named);
    }
    fields.remove(header::CONNECTION);
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn prepared(
        response: Response<Full<&'static [u8]>>,
        is_head: bool,
    ) -> (HeaderMap, Option<Full<&'static [u8]>>) {
        let (head, body) = prepare(response, is_head);
        (head.into_parts().0.headers, body)
    }

    fn response(body: &'static [u8]) -> Response<Full<&'static [u8]>> {
        Response::new(Full::new(body))
    }

    #[test]
    fn a_body_of_known_length_says_so_and_every_response_is_dated() {
        let (fields, body) = prepared(response(b"seven!!"), false);
        assert_eq!(fields["content-length"], "7");
        assert!(fields.contains_key("date"));
        assert!(body.is_some());
    }

    #[test]
    fn head_has_the_length_and_no_body() {
        let (fields, body) = prepared(response(b"seven!!"), true);
        assert_eq!(fields["content-length"], "7");
        assert!(body.is_none());
    }

    #[test]
    fn no_content_has_neither() {
        let mut response = response(b"ignored");
        *response.status_mut() = StatusCode::NO_CONTENT;
        let (fields, body) = prepared(response, false);
        assert!(!fields.contains_key("content-length"));
        assert!(body.is_none());
    }

    #[test]
    fn what_the_application_says_stays() {
        let mut response = response(b"seven!!");
        let fields = response.headers_mut();
        fields.insert("date", HeaderValue::from_static("yesterday"));
        fields.insert("content-length", HeaderValue::from_static("7"));
        let (fields, _) = prepared(response, false);
        assert_eq!(fields["date"], "yesterday");
        assert_eq!(fields.get_all("content-length").iter().count(), 1);
    }

    #[test]
    fn a_connections_own_fields_are_stripped() {
        let mut response = response(b"");
        for (name, value) in [
            ("connection", "x-hop, close"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("x-hop", "1"),
            ("x-end", "1"),
        ] {
            let value = HeaderValue::from_static(value);
            response.headers_mut().append(name, value);
        }
        let (fields, _) = prepared(response, false);
        let names: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-end", "date"]);
    }
}

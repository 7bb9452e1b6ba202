//! What a response is on HTTP/2, and how it ends.

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::playground::{Act, Play, Playground, all, get, send};
use crate::{soon, until};

fn data(bytes: &'static [u8]) -> Act {
    Act::Data(Bytes::from_static(bytes))
}

fn frames(acts: Vec<Act>) -> Play {
    Play::Frames(Response::new(()), acts)
}

#[tokio::test]
async fn a_response_is_dated_and_measured_and_has_no_fields_of_a_connection() {
    let mut response = Response::new(());
    for (name, value) in [
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let server = Playground::start(vec![(
        "/",
        Play::Frames(response, vec![data(b"one"), data(b"two")]),
    )]);
    let mut client = server.client().await;
    let mut response = get(&mut client, "/").await.unwrap();
    assert_eq!(response.headers()["content-length"], "6");
    assert!(
        response.headers()["date"]
            .to_str()
            .unwrap()
            .ends_with(" GMT")
    );
    for name in ["connection", "x-hop", "transfer-encoding"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let (bytes, end) = all(response.body_mut()).await;
    assert_eq!(bytes, b"onetwo");
    end.unwrap();
}

#[tokio::test]
async fn head_has_a_length_and_no_body() {
    let server = Playground::start(vec![("/", frames(vec![data(b"body")]))]);
    let mut client = server.client().await;
    let request = Request::head("http://localhost/").body(()).unwrap();
    let response = send(&mut client, request).await.unwrap();
    assert_eq!(response.headers()["content-length"], "4");
    assert!(response.body().is_end_stream(), "the head ends the stream");
}

#[tokio::test]
async fn an_empty_response_ends_with_its_head() {
    let server = Playground::start(vec![("/", frames(vec![]))]);
    let mut client = server.client().await;
    let response = get(&mut client, "/").await.unwrap();
    assert!(response.body().is_end_stream());
    assert!(!response.headers().contains_key("content-length"));
}

#[tokio::test]
async fn trailers_follow_the_body() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("7"));
    let server = Playground::start(vec![(
        "/",
        frames(vec![data(b"body"), Act::Trailers(trailers)]),
    )]);
    let mut client = server.client().await;
    let mut response = get(&mut client, "/").await.unwrap();
    let (bytes, end) = all(response.body_mut()).await;
    assert_eq!(bytes, b"body");
    end.unwrap();
    let trailers = soon("trailers", response.body_mut().trailers())
        .await
        .unwrap();
    assert_eq!(trailers.unwrap()["x-checksum"], "7");
}

#[tokio::test]
async fn a_body_that_fails_resets_its_stream_behind_what_it_said() {
    let server = Playground::start(vec![
        ("/", frames(vec![data(b"event: error\n\n"), Act::Fail])),
        (
            "/large",
            frames(vec![Act::Data(Bytes::from(vec![b'x'; 50_000])), Act::Fail]),
        ),
    ]);
    let mut client = server.client().await;
    for (path, length) in [("/", 14), ("/large", 50_000)] {
        let mut response = get(&mut client, path).await.unwrap();
        let (bytes, end) = all(response.body_mut()).await;
        assert_eq!(bytes.len(), length);
        assert_eq!(end.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
    }
}

#[tokio::test]
async fn a_panic_resets_its_stream() {
    let server = Playground::start(vec![
        ("/", Play::Panic),
        ("/well", frames(vec![data(b"well")])),
    ]);
    let mut client = server.client().await;
    // One in the answer, one before there is an answer to wait for: no such path.
    for path in ["/", "/unheard-of"] {
        let error = get(&mut client, path).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR), "{path}");
    }
    get(&mut client, "/well").await.unwrap();
    assert_eq!(server.stage.connection().in_flight(), 0);
}

#[tokio::test]
async fn a_large_body_arrives_whole_through_a_small_window() {
    let sent: Vec<u8> = (0..1_000_000).map(|byte| byte as u8).collect();
    let server = Playground::start(vec![(
        "/",
        frames(vec![Act::Data(Bytes::from(sent.clone()))]),
    )]);
    let mut client = server.client().await;
    let mut response = get(&mut client, "/").await.unwrap();
    let (bytes, end) = all(response.body_mut()).await;
    assert!(bytes == sent, "{} bytes", bytes.len());
    end.unwrap();
}

#[tokio::test]
async fn an_upload_that_is_refused_sees_why() {
    let mut refusal = Response::new(());
    *refusal.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    let server = Playground::start(vec![("/", Play::Frames(refusal, vec![data(b"too large")]))]);
    let mut client = server.client().await;
    let request = Request::post("http://localhost/").body(()).unwrap();
    let (response, mut upload) = client.send_request(request, false).unwrap();
    upload
        .send_data(Bytes::from(vec![b'u'; 1_000_000]), false)
        .unwrap();
    let mut response = soon("a response", response).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let (bytes, end) = all(response.body_mut()).await;
    assert_eq!(bytes, b"too large");
    end.unwrap();
    let reason = soon(
        "a reset",
        std::future::poll_fn(|context| upload.poll_reset(context)),
    )
    .await;
    assert_eq!(reason.unwrap(), Reason::NO_ERROR, "RFC 9113, section 8.1");
}

#[tokio::test]
async fn a_request_body_says_its_length() {
    let server = Playground::start(vec![("/", Play::Measure)]);
    let mut client = server.client().await;
    for (length, expected) in [(Some("9"), "Some(9) Some(9)"), (None, "None Some(9)")] {
        let mut request = Request::post("http://localhost/").body(()).unwrap();
        if let Some(length) = length {
            request
                .headers_mut()
                .insert("content-length", HeaderValue::from_static(length));
        }
        let (response, mut upload) = client.send_request(request, false).unwrap();
        upload
            .send_data(Bytes::from_static(b"nine"), false)
            .unwrap();
        upload
            .send_data(Bytes::from_static(b"bytes"), true)
            .unwrap();
        let mut response = soon("a response", response).await.unwrap();
        assert_eq!(all(response.body_mut()).await.0, expected.as_bytes());
    }
    let mut response = get(&mut client, "/").await.unwrap();
    assert_eq!(all(response.body_mut()).await.0, b"Some(0) Some(0)");
}

#[tokio::test]
async fn connect_is_refused() {
    let server = Playground::start(vec![]);
    let mut client = server.client().await;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = "elsewhere:443".parse().unwrap();
    let response = send(&mut client, request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = Playground::start(vec![]);
    let mut client = server.client().await;
    let request = Request::get("http://localhost/").header("x", "x".repeat(20_000));
    // h2's client reads the server's limit from its SETTINGS, and would not send it: so before they have come.
    let response = send(&mut client, request.body(()).unwrap()).await.unwrap();
    assert_eq!(
        response.status(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
}

#[tokio::test]
async fn a_reset_drops_the_body_at_once() {
    let server = Playground::start(vec![("/live", Play::Live)]);
    let mut client = server.client().await;
    let response = get(&mut client, "/live").await.unwrap();
    let bystander = get(&mut client, "/live").await.unwrap();
    assert_eq!(server.stage.open(), 2);
    drop(response);
    until("the body to be dropped", || server.stage.open() == 1).await;
    let connection = server.stage.connection();
    assert_eq!((connection.in_flight(), connection.long_lived()), (1, 1));
    drop(bystander);
}

//! Topics over HTTP: subscribe with `GET`, publish with `POST`.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use wellspring::{EventBody, Hub, Refusal, Start, StreamOptions, TopicName, subscribe};

use crate::answer::{self, Answer};
use crate::ingest::{self, Ingest};
use crate::problem::Problem;

/// `GET /topics/{name}`, and `GET /topics?topic=a&topic=b` for several on one connection.
///
/// # Errors
///
/// As [`subscribe`].
pub(crate) fn read(
    hub: &Hub,
    request: &Parts,
    topics: &[TopicName],
    options: StreamOptions,
) -> Result<Response<EventBody>, Refusal> {
    subscribe(request, options, Start::Tail, |start| {
        hub.subscribe(topics, start)
    })
}

/// The topics that a request to `/topics` names.
///
/// # Errors
///
/// When it names none, or one that cannot be.
pub(crate) fn named(request: &Parts) -> Result<Vec<TopicName>, Problem> {
    let query = request.uri.query().unwrap_or_default();
    let topics = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "topic")
        .map(|(_, topic)| TopicName::new(&topic))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    if topics.is_empty() {
        return Err(Problem::bad_request(
            "name the topics: /topics/NAME, or /topics?topic=A&topic=B",
        ));
    }
    Ok(topics)
}

/// `POST /topics/{name}`: one event, or a stream of them, by content type.
pub(crate) async fn publish<B: Body<Data = Bytes>>(
    hub: &Hub,
    topic: TopicName,
    longest: usize,
    request: &Parts,
    body: B,
) -> Answer {
    let result = match ingest::Format::of(request) {
        Ok(format) => Ingest::new(hub, topic, longest).run(format, body).await,
        Err(problem) => Err(problem),
    };
    match result {
        Ok(receipt) => answer::json(StatusCode::OK, &receipt),
        Err(problem) => problem.into_answer(),
    }
}

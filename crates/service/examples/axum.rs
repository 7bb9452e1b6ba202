//! Three ways into an axum app: a hub nested under a path, an answer that can be resumed, and a stream
//! for one client.
//!
//! ```text
//! cargo run -p wellspring --example axum
//! curl -N http://127.0.0.1:3000/topics/news & curl -d hello http://127.0.0.1:3000/publish/news
//! curl -N http://127.0.0.1:3000/answer
//! curl -N http://127.0.0.1:3000/countdown
//! ```

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use wellspring::event::Event;
use wellspring::{
    End, Hub, Log, LogOptions, SseService, Start, StreamOptions, TopicName, channel, event_stream,
    subscribe,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or("127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("curl -N http://{}/answer", listener.local_addr()?);

    let hub = Hub::default();
    let answer = Log::new(LogOptions::default());
    tokio::spawn(write(answer.clone()));
    let app = Router::new()
        .nest_service("/topics", SseService::new(hub.clone()))
        .route("/publish/{topic}", post(publish).with_state(hub))
        .route("/answer", get(read).with_state(answer))
        .route("/countdown", get(countdown));
    axum::serve(listener, app).await?;
    Ok(())
}

/// One event to a topic of the hub; the answer is its id.
async fn publish(State(hub): State<Hub>, Path(topic): Path<String>, text: String) -> Response {
    let topic = match TopicName::new(&topic) {
        Ok(topic) => topic,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    match hub.publish(&topic, &Event::new(text)).await {
        Ok(position) => position.to_string().into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

/// An answer that comes word by word, as a model's would, for as many readers as there are.
async fn write(answer: Log) {
    for word in "It is written once and read by all who come, from the start.".split(' ') {
        answer
            .append(&Event::new(word))
            .expect("it is small and the log is open");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    answer.close(End::Complete);
}

/// From the beginning, or after the last id: whoever is cut comes back to the same word.
async fn read(State(answer): State<Log>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let reader = |start| Ok(answer.read(start).into());
    match subscribe(&parts, StreamOptions::default(), Start::Earliest, reader) {
        Ok(stream) => stream.into_response(),
        Err(refusal) => (refusal.status(), refusal.to_string()).into_response(),
    }
}

/// A stream for this client alone: it is slowed down by the client, and ends when the client goes.
async fn countdown() -> Response {
    let (mut sender, body) = channel(16 * 1024, StreamOptions::default());
    tokio::spawn(async move {
        for number in (1..=3).rev() {
            if sender.send(&Event::new(number.to_string())).await.is_err() {
                return; // Nobody is listening any more.
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        sender.finish();
    });
    event_stream(body).into_response()
}

use http::Request;

use super::*;
use crate::run::{Coalescing, State};

/// A wish of nobody in particular for a run that somebody pushes, under this key if any.
fn spec(key: Option<&str>, body: &str) -> Spec {
    let mut request = Request::post("/v1/runs");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let (request, ()) = request.body(()).unwrap().into_parts();
    Spec {
        wish: Wish::of(&request, body.as_bytes()),
        model: String::new(),
        include_usage: false,
        conversation: None,
        verbatim: None,
    }
}

fn runs(age: Duration) -> Runs {
    let options = RunOptions {
        coalescing: Coalescing::OFF,
        expires: Some(Duration::from_secs(60)),
        ..RunOptions::default()
    };
    Runs::new(age, options)
}

fn begin(runs: &Runs) -> Arc<Run> {
    runs.await_producer(spec(None, "")).unwrap().0
}

#[tokio::test(start_paused = true)]
async fn when_there_are_too_many_the_one_that_ended_first_goes() {
    let runs = runs(Duration::from_secs(600));
    let all: Vec<_> = (0..Runs::MOST).map(|_| begin(&runs)).collect();
    let too_many = runs.await_producer(spec(None, ""));
    assert_eq!(too_many.unwrap_err(), BeginError::TooMany);
    for ended in [7, 3, 5] {
        all[ended].cancel();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    for gone in [7, 3, 5] {
        assert!(runs.find(all[gone].id()).is_some());
        begin(&runs);
        assert!(runs.find(all[gone].id()).is_none(), "run {gone}");
    }
    let too_many = runs.await_producer(spec(None, ""));
    assert_eq!(too_many.unwrap_err(), BeginError::TooMany);
    assert!(runs.find(all[0].id()).is_some(), "an open run never goes");
}

#[tokio::test(start_paused = true)]
async fn what_ended_long_ago_is_forgotten_with_its_names() {
    let runs = runs(Duration::from_secs(600));
    let wish = || runs.await_producer(spec(Some("key"), "a")).unwrap();
    let (first, new) = wish();
    assert!(new && !wish().1, "the same wish is the same run");
    let other = runs.await_producer(spec(Some("key"), "b"));
    assert_eq!(other.unwrap_err(), BeginError::Taken);
    first.cancel();
    tokio::time::advance(Duration::from_secs(599)).await;
    runs.sweep();
    assert!(!wish().1, "it can be read still");
    tokio::time::advance(Duration::from_secs(1)).await;
    runs.sweep();
    assert!(runs.find(first.id()).is_none());
    let (second, new) = wish();
    assert!(new && second.id() != first.id());
}

#[tokio::test(start_paused = true)]
async fn a_silent_producer_ends_its_run() {
    let runs = runs(Duration::from_secs(600));
    let Ok(Begun::New(run, producer)) = runs.begin(spec(None, "")) else {
        panic!("it is new");
    };
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(60)).await;
        runs.sweep();
        assert_eq!(run.state(), State::Open, "60 s of silence are allowed");
        // Nothing in it for readers, but a sign of life.
        producer.say(crate::run::Part::Answer(String::new()));
    }
    tokio::time::advance(Duration::from_secs(61)).await;
    runs.sweep();
    assert_eq!(run.state(), State::Expired);
}

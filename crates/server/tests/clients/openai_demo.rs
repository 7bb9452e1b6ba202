//! OpenAI's own Python package and the model that is built in.

use serde_json::{Value, json};

use crate::packages::python;
use crate::program::Program;
use crate::stream::Events;
use crate::transport::Transport;

#[tokio::test]
async fn the_official_python_package_streams_a_chat() {
    let program = Program::start(&[]);
    let base = format!("{}/v1", program.http());
    let told: Value = python("openai_demo.py", json!({ "base": base })).await;

    assert_eq!(told["models"], json!(["wellspring-demo"]), "{told}");
    for name in ["plain", "counted"] {
        let answer = &told[name];
        assert_eq!(
            answer["text"],
            json!(text_of(&program, answer).await),
            "{name}: {told}"
        );
        assert!(
            answer["pieces"].as_u64().unwrap() > 20,
            "{name}: token by token: {told}"
        );
        let reason = answer["reason"].as_str().unwrap();
        assert!(["stop", "length"].contains(&reason), "{name}: {told}");
    }
    assert_eq!(
        told["plain"]["usage"],
        Value::Null,
        "nobody asked for it: {told}"
    );
    let usage = |name: &str| told["counted"]["usage"][name].as_u64().unwrap();
    assert!((1..=40).contains(&usage("completion_tokens")), "{told}");
    assert_eq!(
        usage("prompt_tokens") + usage("completion_tokens"),
        usage("total_tokens")
    );

    let begun = told["broken_off"]["text"].as_str().unwrap();
    let whole = text_of(&program, &told["broken_off"]).await;
    assert!(
        whole.starts_with(begun) && whole.len() > begun.len(),
        "the run goes on: {told}"
    );
    assert_eq!(told["refused"]["status"], json!(400), "{told}");
    assert!(
        told["refused"]["message"].to_string().contains("messages"),
        "{told}"
    );
    assert!(told["whole"]["total"].as_u64().unwrap() > 1, "{told}");
}

/// The text of the run that the answer belongs to, read natively to its end.
async fn text_of(program: &Program, answer: &Value) -> String {
    let path = format!("/v1/runs/{}/events", answer["run"].as_str().unwrap());
    let run = Events::open(program, Transport::Http1, &path)
        .await
        .rest()
        .await;
    let (done, answers) = run.split_last().unwrap();
    assert_eq!(done.event, "done");
    let texts = answers
        .iter()
        .filter(|event| event.event == "answer")
        .map(|event| event.json()["text"].as_str().unwrap().to_owned());
    texts.collect()
}

//! OpenAI's own Python package, unmodified and as new as PyPI has it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::program::Program;
use crate::stream::Events;
use crate::transport::Transport;

#[tokio::test]
async fn the_official_python_package_streams_a_chat() {
    let python = match python_with_openai() {
        Ok(python) => python,
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("skipped, as CI is not set: {why}");
            return;
        }
    };
    let program = Program::start(&[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/openai_stream.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(format!("{}/v1", program.http()))
        .env_remove("OPENAI_BASE_URL")
        .env("NO_PROXY", "127.0.0.1");
    let told: Value = serde_json::from_str(&output_of(&mut command).unwrap()).unwrap();

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
        .map(|event| event.json()["text"].as_str().unwrap().to_owned());
    texts.collect()
}

/// A Python that has the package, in the folder that cargo keeps for tests: made once, and brought up to date.
fn python_with_openai() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openai-venv");
    let python = folder.join("bin/python");
    if !python.exists() {
        output_of(Command::new("python3").args(["-m", "venv"]).arg(&folder)).map_err(|why| {
            format!("python3 with venv must be installed (apt-get install python3-venv): {why}")
        })?;
    }
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--upgrade", "openai"]);
    match output_of(&mut install) {
        Ok(_) => Ok(python),
        // Without a network, the one that is there will do.
        Err(_) if output_of(Command::new(&python).args(["-c", "import openai"])).is_ok() => {
            Ok(python)
        }
        Err(why) => Err(format!("pip cannot install openai: {why}")),
    }
}

fn output_of(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

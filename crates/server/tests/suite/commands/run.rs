//! Commands whose output is a run.

use std::path::Path;

use serde_json::{Value, json};

use super::wire::Wire;
use super::{lines, text};
use crate::process::{Finished, Process, Signal};
use crate::program::{Program, until};
use crate::stream::{Events, Seen};
use crate::transport::{Transport, Whole, post};

/// A command at work, and the run that it is.
struct Job {
    process: Process,
    id: String,
}

impl Job {
    /// Runs a script of the shell's, and waits until it is known where to watch it.
    fn start(server: &str, script: &str) -> Self {
        let process = Process::start(&[
            "run",
            "--server",
            server,
            "--allow-commands",
            "--",
            "sh",
            "-c",
            script,
        ]);
        let page = process.output.wait_for(1).remove(0);
        let (base, id) = page.split_once("/#run=").unwrap();
        assert_eq!(base, server);
        Self {
            id: id.to_owned(),
            process,
        }
    }

    fn finish(mut self) -> Finished {
        self.process.close_input();
        self.process.finish()
    }

    async fn events(&self, program: &Program) -> Events {
        let path = format!("/v1/runs/{}/events", self.id);
        Events::open(program, Transport::Http1, &path).await
    }
}

/// What the run said on standard output, and its other events.
fn told(events: &[Seen]) -> (String, Vec<Value>) {
    let (mut text, mut others) = (String::new(), Vec::new());
    for event in events {
        let data = event.json();
        match event.event.as_str() {
            "answer" => text += data["text"].as_str().unwrap(),
            name => others.push(json!([name, data])),
        }
    }
    (text, others)
}

#[tokio::test]
async fn output_progress_and_exit_code_are_a_run() {
    let program = Program::start(&[]);
    let script = "echo one; echo careful >&2; printf '25%%\\n'; printf 'no end'; exit 3";
    let job = Job::start(program.http(), script);
    let mut events = job.events(&program).await;
    let (text, others) = told(&events.rest().await);
    assert_eq!(text, "one\nno end");
    for expected in [
        json!(["progress", { "command": "sh", "message": "sh is running" }]),
        json!(["progress", { "message": "careful", "stream": "stderr" }]),
        json!(["progress", { "percent": 25, "message": "25%" }]),
    ] {
        assert!(others.contains(&expected), "{expected} in {others:?}");
    }
    let done = json!({ "state": "done", "finish_reason": "exit", "usage": null, "exit_code": 3 });
    assert_eq!(others.last(), Some(&json!(["done", done])));
    assert_eq!(others.len(), 4, "{others:?}");
    let finished = job.finish();
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert_eq!(finished.output.len(), 1, "{finished:?}");
    assert_eq!(finished.errors, [""; 0]);
}

#[tokio::test]
async fn bars_that_are_drawn_over_and_bytes_that_are_no_text_arrive() {
    let program = Program::start(&[]);
    let script = "printf '\\r 10%%\\r 20.5%%\\r\\nca\\351\\nca\\351\\r\\n'";
    let job = Job::start(program.http(), script);
    let (text, others) = told(&job.events(&program).await.rest().await);
    assert_eq!(text, "ca\u{fffd}\nca\u{fffd}\n");
    assert_eq!(
        others[1..4],
        [
            json!(["progress", { "percent": 10, "message": " 10%" }]),
            json!(["progress", { "percent": 20.5, "message": " 20.5%" }]),
            json!(["progress", { "message": "what is not UTF-8 is shown as \u{fffd}" }]),
        ]
    );
    assert_eq!(others.len(), 5, "said once: {others:?}");
}

#[tokio::test]
async fn a_line_arrives_while_the_command_runs() {
    let program = Program::start(&[]);
    let job = Job::start(program.http(), "echo begun; read word; echo got $word");
    let mut events = job.events(&program).await;
    events.read_until(|text| text.contains("begun")).await;
    job.process.feed("water\n");
    events.read_until(|text| text.contains("got water")).await;
    assert_eq!(job.finish().code, Some(0));
}

#[tokio::test]
async fn a_cut_wire_loses_and_doubles_no_line_of_a_command() {
    let program = Program::start(&[]);
    let wire = Wire::to(&program.address(false).to_string());
    let print = |from, to| format!("for n in $(seq {from} {to}); do echo line $n; done");
    let script = format!("{}; read word; {}", print(1, 600), print(601, 1_200));
    let job = Job::start(wire.url(), &script);
    let mut events = job.events(&program).await;
    events.read_until(|text| text.contains("line 600\\n")).await;
    assert!(wire.cut() > 0);
    job.process.errors.wait_for_words("; again in ", 1);
    job.process.feed("on\n");
    let mut seen = Events::open(
        &program,
        Transport::Http1,
        &format!("/v1/runs/{}/events", job.id),
    )
    .await;
    let (said, others) = told(&seen.rest().await);
    assert!(
        said == text(&lines(1..=1_200)),
        "lines are missing or doubled"
    );
    assert_eq!(others.last().unwrap()[1]["exit_code"], json!(0));
    assert_eq!(job.finish().code, Some(0));
}

#[test]
fn a_command_outlives_its_server() {
    let mut program = Program::start(&[]);
    let job = Job::start(program.http(), "echo begun; read word; exit 5");
    program.restart();
    job.process.errors.wait_for_words("the command goes on", 1);
    job.process.feed("on\n");
    assert_eq!(job.finish().code, Some(5));
}

#[tokio::test]
async fn neither_a_page_that_is_closed_nor_silence_ends_a_command() {
    let program = Program::start(&["--on-disconnect", "cancel", "--run-expires", "1ms"]);
    let job = Job::start(program.http(), "echo begun; read word; echo got $word");
    let mut events = job.events(&program).await;
    events.read_until(|text| text.contains("begun")).await;
    events.cut().await;
    // A run of somebody else's, which the server's own policy ends.
    let other = post("/v1/runs", "application/json", "{}");
    let other = Whole::of(&program, Transport::Http1, other).await.json();
    let path = format!("/v1/runs/{}/events", other["id"].as_str().unwrap());
    let ended = Events::open(&program, Transport::Http1, &path)
        .await
        .rest()
        .await;
    assert_eq!(ended[0].json()["state"], json!("expired"));
    job.process.feed("on\n");
    let (text, others) = told(&job.events(&program).await.rest().await);
    assert_eq!(text, "begun\ngot on\n");
    assert_eq!(others.last().unwrap()[1]["exit_code"], json!(0));
    assert_eq!(job.finish().code, Some(0));
}

#[tokio::test]
async fn who_cancels_the_run_ends_the_command_and_what_it_started() {
    let program = Program::start(&[]);
    let job = Job::start(program.http(), "sleep 600 & echo $! $$ pids; wait");
    let mut events = job.events(&program).await;
    events.read_until(|text| text.contains("pids")).await;
    let pids = events.text().split("text\":\"").nth(1).unwrap().to_owned();
    let cancel = post(&format!("/v1/runs/{}/cancel", job.id), "text/plain", "");
    let cancelled = Whole::of(&program, Transport::Http1, cancel).await.json();
    assert_eq!(cancelled["state"], json!("cancelled"));
    let finished = job.finish();
    assert_eq!(finished.code, Some(128 + 15), "{finished:?}");
    assert_eq!(finished.errors, ["wellspring: the run was cancelled"]);
    for pid in pids.split(' ').take(2) {
        let process = format!("/proc/{pid}/cmdline");
        // A dead process whose parent has not yet asked for its exit code has no command line.
        until("its end", || {
            std::fs::read(&process)
                .unwrap_or_default()
                .is_empty()
                .then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn ctrl_c_asks_the_command_to_end_and_a_second_one_makes_it() {
    let program = Program::start(&[]);
    let tidy = "trap 'echo tidied up; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    let job = Job::start(program.http(), tidy);
    let mut events = job.events(&program).await;
    events.read_until(|text| text.contains("ready")).await;
    job.process.signal(Signal::INT);
    let (text, others) = told(&events.rest().await);
    assert!(text.ends_with("tidied up\n"), "{text}");
    assert_eq!(others.last().unwrap()[1]["exit_code"], json!(7));
    assert_eq!(job.finish().code, Some(7));

    let stubborn = "trap 'echo no' TERM; echo ready; while :; do sleep 0.01; done";
    let job = Job::start(program.http(), stubborn);
    let mut events = job.events(&program).await;
    events.read_until(|text| text.contains("ready")).await;
    job.process.signal(Signal::INT);
    events.read_until(|text| text.contains("no\\n")).await;
    job.process.signal(Signal::INT);
    let (_, others) = told(&events.rest().await);
    let done = json!({ "state": "done", "finish_reason": "signal", "usage": null, "exit_code": 137, "signal": 9 });
    assert_eq!(others.last().unwrap()[1], done);
    assert_eq!(job.finish().code, Some(137));
}

#[tokio::test]
async fn what_is_left_in_the_background_keeps_no_run_open() {
    let program = Program::start(&[]);
    let job = Job::start(program.http(), "sleep 120 & echo $!");
    let (pid, others) = told(&job.events(&program).await.rest().await);
    assert_eq!(others.last().unwrap()[0], json!("done"));
    assert_eq!(job.finish().code, Some(0));
    let kill = std::process::Command::new("kill").arg(pid.trim()).status();
    assert!(kill.unwrap().success(), "what it left is left alone");
}

#[tokio::test]
async fn a_command_that_is_not_there_fails_its_run() {
    let program = Program::start(&[]);
    let id = "a-run-of-nothing-at-all";
    let run = [
        "run",
        "--server",
        program.http(),
        "--allow-commands",
        "--id",
        id,
        "--",
    ];
    let finished = Process::run(&[&run[..], &["no-such-command"]].concat(), "");
    assert_eq!(finished.code, Some(127), "{finished:?}");
    let why = "cannot start no-such-command: No such file or directory (os error 2)";
    assert_eq!(finished.errors, [format!("wellspring: {why}")]);
    let path = format!("/v1/runs/{id}/events");
    let seen = Events::open(&program, Transport::Http1, &path)
        .await
        .rest()
        .await;
    let error = json!(["error", { "state": "failed", "message": why }]);
    assert_eq!(told(&seen), (String::new(), vec![error]));

    let again = Process::run(&[&run[..], &["true"]].concat(), "");
    assert_eq!(again.code, Some(125), "{again:?}");
    let line = format!("wellspring: there is a run {id} already: give another --id, or none");
    assert_eq!(again.errors, [line]);
}

#[test]
fn commands_are_off_until_allowed_and_only_for_this_machine() {
    let refused = |arguments: &[&str], environment: &[(&str, &str)], named: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("no.toml"), "heartbeat = \"5s\"\n").unwrap();
        let touch = ["--", "touch", "it-ran"];
        let arguments = [&["run"], arguments, &touch].concat();
        let finished = Process::run_in(folder.path(), environment, &arguments);
        assert_eq!(finished.code, Some(125), "{finished:?}");
        assert!(finished.output.is_empty(), "{finished:?}");
        assert!(
            finished.errors.len() == 1 && finished.errors[0].contains(named),
            "{named}: {finished:?}"
        );
        assert!(!folder.path().join("it-ran").exists());
    };
    refused(&[], &[], "Allow them with --allow-commands");
    refused(
        &[],
        &[("WELLSPRING_ALLOW_COMMANDS", "false")],
        "not allowed",
    );
    refused(&["--config", "no.toml"], &[], "allow-commands = true");
    refused(&["--config", "absent.toml"], &[], "absent.toml");
    let allowed = [("WELLSPRING_ALLOW_COMMANDS", "true")];
    refused(
        &["--server", "http://192.0.2.1:8080"],
        &allowed,
        "is not on this machine",
    );
    refused(
        &["--server", "http://127.0.0.1:1"],
        &allowed,
        "connection refused",
    );
}

#[tokio::test]
async fn a_file_or_the_environment_may_allow_commands() {
    let program = Program::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("yes.toml"), "allow-commands = true\n").unwrap();
    let run = |environment: &[(&str, &str)], config: &[&str]| {
        let begin = ["run", "--server", program.http()];
        let arguments = [&begin[..], config, &["--", "true"]].concat();
        let finished = Process::run_in(Path::new(folder.path()), environment, &arguments);
        assert_eq!(finished.code, Some(0), "{finished:?}");
    };
    run(&[("WELLSPRING_ALLOW_COMMANDS", "true")], &[]);
    run(&[], &["--config", "yes.toml"]);
    run(&[("WELLSPRING_CONFIG", "yes.toml")], &[]);
}

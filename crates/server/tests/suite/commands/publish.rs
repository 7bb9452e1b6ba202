//! Lines that become events, each once, whatever breaks.

use super::wire::Wire;
use super::{lines, server, text, topic};
use crate::process::{Process, Signal};

#[test]
fn ten_thousand_lines_arrive_in_order() {
    let server = server();
    let authority = server.authority();
    let trust = ["--cacert", authority.to_str().unwrap()];
    for base in [server.http(), server.https()] {
        let topic = if base.starts_with("https") {
            "tls"
        } else {
            "plain"
        };
        let url = format!("{base}/topics/{topic}");
        let mut arguments = vec!["tail", "--from", "earliest", "--count", "10000", &url];
        arguments.extend(trust);
        let tail = Process::start(&arguments);

        let mut arguments = vec!["publish", "--url", base, topic];
        arguments.extend(trust);
        let published = Process::run(&arguments, text(&lines(1..=10_000)));
        assert_eq!(published.code, Some(0), "{published:?}");
        let summary = published.errors.last().unwrap();
        let expected = format!("wellspring: published 10000 lines to {topic} in ");
        assert!(summary.starts_with(&expected), "{summary}");

        let printed = tail.finish();
        assert_eq!(
            (printed.code, printed.errors.as_slice()),
            (Some(0), [].as_slice())
        );
        assert!(
            printed.output == lines(1..=10_000),
            "lines are missing or out of order"
        );
    }
}

#[test]
fn a_line_arrives_as_soon_as_it_is_read() {
    let server = server();
    let tail = Process::start(&[
        "tail",
        "--from=earliest",
        &format!("{}/topics/t", server.http()),
    ]);
    let publish = Process::start(&["publish", "--url", server.http(), "t"]);
    for number in 1..=3 {
        publish.feed(format!("line {number}\n"));
        // The input stays open, and nothing else follows: only the line itself can bring it here.
        assert_eq!(tail.output.wait_for(number), lines(1..=number));
    }
}

#[test]
fn a_cut_wire_loses_and_doubles_nothing() {
    let server = server();
    let wire = Wire::to(&server.address(false).to_string());
    let tail = Process::start(&[
        "tail",
        "--from=earliest",
        &format!("{}/topics/t", server.http()),
    ]);
    let mut publish = Process::start(&["publish", "--url", wire.url(), "t"]);
    // A thousand are acknowledged; the rest has arrived, but only the topic knows.
    publish.feed(text(&lines(1..=1_500)));
    tail.output.wait_for(1_500);
    assert!(wire.cut() > 0);
    publish.errors.wait_for_words("; again in ", 1);
    publish.feed(text(&lines(1_501..=2_000)));
    publish.close_input();
    let published = publish.finish();
    assert_eq!(published.code, Some(0), "{published:?}");
    let summary = published.errors.last().unwrap();
    assert!(summary.contains("published 2000 lines to t"), "{summary}");
    assert!(
        summary.ends_with("; 500 arrived twice and counted once"),
        "{summary}"
    );
    assert_eq!(topic(&server, "t", 2_000), lines(1..=2_000));
    // Whatever is doubled would come before this.
    let last = Process::run(&["publish", "--url", server.http(), "t"], "the end\n");
    assert_eq!(last.code, Some(0), "{last:?}");
    let printed = tail
        .output
        .wait_until(|lines| lines.last().is_some_and(|line| line == "the end"));
    assert_eq!(printed.len(), 2_001);
}

#[test]
fn a_killed_server_gets_every_line_once_in_each_of_its_lives() {
    let mut server = server();
    let url = format!("{}/topics/t", server.http());
    let tail = Process::start(&["tail", "--from=earliest", "--verbose", &url]);
    let mut publish = Process::start(&["publish", "--url", server.http(), "t"]);
    publish.feed(text(&lines(1..=5_500)));
    tail.output.wait_for(5_500);
    server.kill();
    publish.feed(text(&lines(5_501..=10_000)));
    publish.errors.wait_for_words("; again in ", 2);
    server.restart();
    publish.close_input();
    let published = publish.finish();
    assert_eq!(published.code, Some(0), "{published:?}");
    let summary = published.errors.last().unwrap();
    assert!(summary.contains("published 10000 lines to t"), "{summary}");

    let printed = tail
        .output
        .wait_until(|lines| lines.last().is_some_and(|line| line == "line 10000"));
    let (first_life, second_life) = printed.split_at(5_500);
    assert!(
        first_life == lines(1..=5_500),
        "the first life is out of order"
    );
    // It begins with the first line that the first life did not acknowledge, and it has all that follow.
    let begin = 10_001 - second_life.len();
    assert!(
        (4_501..=5_501).contains(&begin),
        "the second life begins with {begin}"
    );
    assert!(
        second_life == lines(begin..=10_000),
        "the second life is out of order"
    );
    tail.errors.wait_for_words("gap: events after ", 1);
}

#[test]
fn input_waits_while_a_thousand_lines_are_not_acknowledged() {
    let mut server = server();
    let mut publish = Process::start(&["publish", "--url", server.http(), "t"]);
    publish.feed("line 1\n");
    assert_eq!(topic(&server, "t", 1), lines(1..=1));
    server.kill();
    publish.feed(text(&lines(2..=200_000)));
    publish.errors.wait_for_words("; again in ", 3);
    // A thousand lines, what one read brings more, and what the pipe holds.
    let taken = publish.taken();
    assert!(taken < 256 << 10, "{taken} bytes were taken");
    server.restart();
    publish.close_input();
    let published = publish.finish();
    assert_eq!(published.code, Some(0), "{published:?}");
    let summary = published.errors.last().unwrap();
    assert!(summary.contains("published 200000 lines to t"), "{summary}");
}

#[test]
fn ctrl_c_stops_reading_and_waits_for_what_was_read() {
    let server = server();
    let publish = Process::start(&["publish", "--url", server.http(), "t"]);
    publish.feed("line 1\nline 2\nline 3\nhalf a li");
    assert_eq!(topic(&server, "t", 3), lines(1..=3));
    publish.signal(Signal::INT);
    let published = publish.finish();
    assert_eq!(published.code, Some(0), "{published:?}");
    let summary = published.errors.last().unwrap();
    assert!(summary.contains("published 3 lines to t"), "{summary}");
}

#[test]
fn a_second_ctrl_c_gives_up() {
    let mut server = server();
    let publish = Process::start(&["publish", "--url", server.http(), "t"]);
    publish.feed("line 1\n");
    assert_eq!(topic(&server, "t", 1), lines(1..=1));
    server.kill();
    publish.errors.wait_for_words("; again in ", 1);
    publish.signal(Signal::INT);
    publish
        .errors
        .wait_for_words("waiting until the server has 1 line ", 1);
    publish.signal(Signal::INT);
    let published = publish.finish();
    assert_eq!(published.code, Some(1), "{published:?}");
    let line = published.errors.last().unwrap();
    assert!(line.starts_with("wellspring: interrupted; "), "{line}");
}

#[test]
fn a_server_may_be_late_when_it_is_waited_for() {
    let mut server = server();
    server.kill();
    let mut publish = Process::start(&["publish", "--wait", "--url", server.http(), "t"]);
    publish.feed("line 1\n");
    publish.errors.wait_for_words("connection refused", 1);
    server.restart();
    publish.close_input();
    let published = publish.finish();
    assert_eq!(published.code, Some(0), "{published:?}");
    assert_eq!(topic(&server, "t", 1), lines(1..=1));
}

#[test]
fn events_keep_their_type_and_their_key() {
    let server = server();
    let events = "{\"event\":\"note\",\"data\":\"one\",\"key\":\"k\"}\n\
                  \n\
                  {\"data\":\"doubled\",\"key\":\"k\"}\n\
                  {\"data\":{\"n\":0.10}}\n";
    let published = Process::run(
        &["publish", "--ndjson", "--url", server.http(), "t"],
        events,
    );
    assert_eq!(published.code, Some(0), "{published:?}");
    let url = format!("{}/topics/t", server.http());
    let tail = ["tail", "--json", "--from=earliest", "--count=2", &url];
    let printed = Process::run(&tail, "").output;
    let event = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        (text("event"), text("data"))
    };
    let seen: Vec<_> = printed.iter().map(|line| event(line)).collect();
    let expected = [("note", "one"), ("message", "{\"n\":0.10}")];
    assert_eq!(
        seen,
        expected.map(|(kind, data)| (kind.to_owned(), data.to_owned()))
    );
}

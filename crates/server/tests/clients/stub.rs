//! The model's server by itself, without the program before it: one that only the program understands would prove
//! nothing.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::packages::{Report, node, python};
use crate::upstream::{Manner, Speech, Upstream};

const TOKENS: usize = 50;

#[tokio::test]
async fn official_packages_read_it_as_they_read_the_real_ones() {
    let upstream = Upstream::start(Speech::of(TOKENS)).await;
    let (base, model) = (upstream.url(), Manner::Steady.model());
    let arguments = json!({ "base": base, "model": model });
    // Their package adds the /v1 itself.
    let of_anthropic = json!({ "base": base.strip_suffix("/v1").unwrap(), "model": model });
    let (chat, chat_of_node, message, response, response_of_node) = tokio::join!(
        python("openai_chat.py", arguments.clone()),
        node("openai-chat.mjs", arguments.clone()),
        python("anthropic_messages.py", of_anthropic),
        python("openai_responses.py", arguments.clone()),
        node("openai-responses.mjs", arguments),
    );
    for (report, reason) in [
        (chat, "stop"),
        (chat_of_node, "stop"),
        (message, "end_turn"),
    ] {
        assert_whole(&report, &upstream);
        assert_eq!(report.more["reason"], reason, "{report:?}");
        assert_eq!(report.more["tokens"], TOKENS, "{report:?}");
    }
    for report in [response, response_of_node] {
        assert_whole(&report, &upstream);
        assert_eq!(report.more["status"], "completed", "{report:?}");
        assert_eq!(report.more["whole"], upstream.text(), "{report:?}");
    }
    assert_eq!(upstream.calls().len(), 5);
}

#[tokio::test]
async fn it_notices_who_hangs_up_before_the_first_byte_and_after_it() {
    let upstream = Upstream::start(Speech::of(TOKENS)).await;
    let authority = upstream.url().replace("http://", "").replace("/v1", "");
    for manner in [Manner::SlowFirstByte, Manner::Endless] {
        let mut client = TcpStream::connect(&authority).await.unwrap();
        let body = json!({ "model": manner.model(), "stream": true }).to_string();
        let head =
            "POST /v1/chat/completions HTTP/1.1\r\nhost: stub\r\ncontent-type: application/json";
        let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        client.write_all(request.as_bytes()).await.unwrap();
        let call = upstream.call_of(manner.model()).await;
        assert!(call.is_open(), "{call:?}");
        let hung_up = Instant::now();
        drop(client);
        let noticed = call.left().await - hung_up;
        assert!(noticed < Duration::from_secs(1), "{manner:?}: {noticed:?}");
    }
}

fn assert_whole(report: &Report, upstream: &Upstream) {
    assert_eq!(report.errors, [""; 0], "{report:?}");
    assert_eq!(report.text, upstream.text(), "{report:?}");
    assert_eq!((report.deltas, report.resumes), (TOKENS, 0), "{report:?}");
}

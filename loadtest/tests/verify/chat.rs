//! Token runs against a small server of completions.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use wellspring_load::chat::{ChatPlan, ChatReport, chat};
use wellspring_load::latency::{Latency, Quantile};
use wellspring_load::publisher::EventsPerSecond;
use wellspring_load::target::{Target, Trust};

use crate::command::{text, wellspring_load};

const TOKENS: usize = 5;
const GAP: Duration = Duration::from_millis(20);

/// Answers every fifth request with 503 and cuts every seventh one off, when it is `faulty`; 20 ms between tokens.
async fn serve(faulty: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Head and first token are two writes: Nagle's algorithm holds the second until the first is acknowledged.
            stream.set_nodelay(true).unwrap();
            let count = count.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Some(body) = request(&mut stream).await {
                    let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let asked: serde_json::Value = serde_json::from_slice(&body).unwrap();
                    assert_eq!(
                        (&asked["stream"], &asked["messages"][0]["role"]),
                        (&true.into(), &"user".into())
                    );
                    match number % 35 {
                        number if faulty && number % 5 == 4 => {
                            let answer = b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno";
                            stream.write_all(answer).await.unwrap();
                        }
                        number => {
                            if !answer(&mut stream, !faulty || number % 7 != 6).await {
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    address
}

/// The body of the next request; none when the client has gone.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if let Some((_, value)) = line.to_ascii_lowercase().split_once("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// Whether the connection goes on: an answer that is not `whole` is cut before its terminator.
async fn answer(stream: &mut BufReader<TcpStream>, whole: bool) -> bool {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = |data: &str| format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8);
    for _ in 0..TOKENS {
        tokio::time::sleep(GAP).await;
        let token = chunk("{\"choices\":[{\"delta\":{\"content\":\"word \"}}]}");
        stream.write_all(token.as_bytes()).await.unwrap();
    }
    if whole {
        stream
            .write_all((chunk("[DONE]") + "0\r\n\r\n").as_bytes())
            .await
            .unwrap();
    }
    whole
}

async fn ask(address: SocketAddr, change: impl FnOnce(&mut ChatPlan)) -> ChatReport {
    let target = Target::parse(
        &format!("http://{address}/v1/chat/completions"),
        None,
        &Trust::Nobody,
    )
    .unwrap();
    let mut plan = ChatPlan {
        connections: 4,
        requests: NonZeroU64::new(35).unwrap(),
        ..ChatPlan::new(target)
    };
    change(&mut plan);
    chat(&plan, std::future::pending()).await.unwrap()
}

fn at(latency: &Latency, share: f64) -> Duration {
    let Quantile::At(duration) = latency.quantile(share, 0) else {
        panic!("nothing was measured");
    };
    duration
}

#[tokio::test]
async fn tokens_are_counted_and_timed() {
    let report = ask(serve(false).await, |_| {}).await;
    let findings = &report.findings;
    assert!(report.is_complete(), "{report}");
    assert_eq!((findings.requests, findings.complete), (35, 35), "{report}");
    assert_eq!(
        (findings.tokens, findings.gap.count()),
        (35 * 5, 35 * 4),
        "{report}"
    );
    // Bounds that no stall of the machine can break: the server sleeps before each token, so an answer is never shorter,
    // and what a late first token takes from the rest is no more than the latest took.
    let [soonest, latest] = [0.0, 1.0].map(|share| at(&findings.first_token, share));
    let [shortest, longest] = [0.0, 1.0].map(|share| at(&findings.whole, share));
    let least = GAP * TOKENS as u32;
    assert!(soonest >= GAP && shortest >= least, "{report}");
    let bounds = least.saturating_sub(latest) * 35..=longest * 35;
    assert!(bounds.contains(&findings.speaking), "{report}");
    let speed = 35.0 * 4.0 / findings.speaking.as_secs_f64();
    assert_eq!(findings.speed(), Some(speed), "{report}");
}

#[tokio::test]
async fn refused_and_truncated_answers_are_counted_exactly() {
    let report = ask(serve(true).await, |_| {}).await;
    let findings = &report.findings;
    // Of the numbers 0 to 34: seven are refused; five are to be cut, of which one is refused already.
    assert_eq!(
        (findings.refused.get(&503), findings.truncated),
        (Some(&7), 4),
        "{report}"
    );
    assert_eq!(
        (findings.complete, report.is_complete()),
        (24, false),
        "{report}"
    );
}

#[tokio::test]
async fn at_a_rate_a_wait_for_a_free_worker_counts() {
    let report = ask(serve(false).await, |plan| {
        plan.connections = 1;
        plan.requests = NonZeroU64::new(10).unwrap();
        plan.rate = Some(EventsPerSecond::new(1_000.0).unwrap());
    })
    .await;
    assert!(report.is_complete(), "{report}");
    // The tenth answer begins after nine others of 100 ms each.
    let longest = at(&report.findings.first_token, 1.0);
    assert!(longest >= Duration::from_millis(880), "{report}");
}

#[tokio::test]
async fn the_command_asks_what_stands_in_a_file() {
    let address = serve(true).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompts.txt");
    std::fs::write(&file, "What is a spring?\n\nAnd a well?\n").unwrap();
    let (file, url) = (file.to_str().unwrap(), format!("http://{address}/"));
    let output =
        wellspring_load(&["--chat", "-c", "2", "-n", "4", "--prompt-file", file, &url]).await;
    let out = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{out}{}",
        text(&output.stderr)
    );
    assert!(
        out.contains("whole answers       4") && out.contains("to first token"),
        "{out}"
    );
    let refused = wellspring_load(&[
        "--chat",
        "-c",
        "1",
        "-n",
        "10",
        "--output-format",
        "json",
        &url,
    ])
    .await;
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    let json: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert!(json["refused"]["503"].as_u64().unwrap() >= 1, "{json}");
    let missing = wellspring_load(&["--chat", "--prompt-file", "/nowhere/prompts", &url]).await;
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        text(&missing.stderr).contains("/nowhere/prompts"),
        "{}",
        text(&missing.stderr)
    );
}

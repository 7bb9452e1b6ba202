//! A clock for everybody, on a bare hyper server: HTTP/1.1, and HTTP/2 for those who know beforehand.
//!
//! ```text
//! cargo run -p wellspring --example hyper
//! curl -N http://127.0.0.1:3000/clock
//! ```
//!
//! Ctrl-C sends everybody away in good order.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use wellspring::event::Event;
use wellspring::{Hub, SseService, TopicName};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or("127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("curl -N http://{}/clock", listener.local_addr()?);

    let hub = Hub::default();
    tokio::spawn(tick(hub.clone()));
    tokio::spawn(serve(listener, SseService::new(hub.clone())));

    tokio::signal::ctrl_c().await?;
    let left = hub.drain(Duration::from_secs(5)).await;
    println!("{left} readers left behind");
    Ok(())
}

/// Publishes the seconds since the start, and now and then lets go of what nobody needs.
async fn tick(hub: Hub) {
    let clock = TopicName::new("clock").expect("a fine name");
    for second in 0u64.. {
        let event = Event::new(format!("{second} s"));
        hub.publish(&clock, &event).await.expect("it is small");
        hub.sweep();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn serve(listener: TcpListener, service: SseService) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // No more descriptors, or a peer that has gone again: the next one may have more luck.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // An event is to leave now, not when the one before it was acknowledged.
        let _ = socket.set_nodelay(true);
        let service = service.clone();
        tokio::spawn(async move {
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http1().timer(TokioTimer::new()).max_buf_size(8192);
            server
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(Duration::from_secs(30));
            // How a connection ends is the client's affair.
            let _ = server.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

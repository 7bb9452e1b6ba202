//! What is held of a peer that does not read.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wellspring_front::{Protocol, Scheme};

use crate::{
    application::Server,
    browser::{Browser, config, connect, connect_tls},
    soon, until,
};

/// What the kernel holds of a stalled stream, its peer's receive buffer included: about 134 KiB with
/// `TCP_NOTSENT_LOWAT`, 3.7 MiB without.
const BACKLOG: u64 = 512 * 1024;

static PIECE: [u8; 4096] = [b'x'; 4096];

#[tokio::test]
async fn little_is_held_in_the_kernel_of_a_peer_that_does_not_read() {
    for scheme in [Scheme::Http, Scheme::Https] {
        let server = Server::start();
        let address = server.address(scheme);
        match scheme {
            Scheme::Http => stall(&server, scheme, connect(address).await).await,
            Scheme::Https => {
                let config = config(server.directory.path(), &["http/1.1"]);
                stall(&server, scheme, connect_tls(address, &config).await).await;
            }
        }
    }
}

async fn stall(server: &Server, scheme: Scheme, mut peer: impl AsyncRead + AsyncWrite + Unpin) {
    let request = b"GET /stream HTTP/1.1\r\nhost: localhost\r\n\r\n";
    peer.write_all(request).await.unwrap();
    until("the stream", || server.application.open_streams() == 1).await;
    let connection = server.application.connections.lock().unwrap()[0].clone();
    let offered = 8 * 1024 * 1024;
    for _ in 0..offered / PIECE.len() {
        server.application.publish(&PIECE);
    }
    // The shard is one thread: a bystander who was answered ten times while nothing was written has seen the end of it.
    let mut bystander = Browser::open(server, Scheme::Http, Protocol::Http1).await;
    let mut quiet = 0;
    while quiet < 10 {
        let before = connection.bytes_written();
        bystander.text("/hello").await.unwrap();
        quiet = if connection.bytes_written() == before {
            quiet + 1
        } else {
            0
        };
    }
    let held = connection.bytes_written();
    assert!(held < BACKLOG, "{scheme}: {held} bytes");
    // And nothing of it is lost.
    let mut received = 0;
    let mut room = vec![0; 64 * 1024];
    while received < offered {
        received += soon("the rest", peer.read(&mut room)).await.unwrap();
    }
}

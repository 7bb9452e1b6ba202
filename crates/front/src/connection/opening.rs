//! From an accepted socket to a connection whose protocol is known: TLS and ALPN, or a look at the first bytes.

use std::{pin::Pin, sync::Arc};

use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, Sleep, sleep, timeout},
};

use super::{Connection, EndReason, Protocol};
use crate::{
    application::Application,
    listener::Accepted,
    shard::Shard,
    socket::{Socket, Stream},
    tls::Tls,
};

/// How an HTTP/2 client begins (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that is ready to be spoken to.
pub(crate) struct Opened {
    pub(crate) protocol: Protocol,
    pub(crate) stream: Stream,
    /// Until when the first request's head (or, on HTTP/2, the preface) must have come. Runs since before the protocol
    /// was looked for, so that a peer cannot have the time twice.
    pub(crate) head_deadline: Pin<Box<Sleep>>,
}

/// Opens a connection, or says why it ended before it began.
pub(crate) async fn open<A: Application>(
    shard: &Shard<A>,
    connection: &Arc<Connection>,
    accepted: Box<Accepted>,
) -> Result<Opened, EndReason> {
    let Accepted { stream, tls, .. } = *accepted;
    let tcp =
        TcpStream::from_std(stream).map_err(|error| EndReason::of_socket(&error, connection))?;
    let socket = Socket::new(tcp, Arc::clone(connection));
    tokio::select! {
        biased;
        // Nobody has asked for anything yet: there is nothing to wait for.
        reason = shard.leaving() => Err(reason),
        opened = async {
            match tls {
                // Boxed, for a thousand plain connections may wait for their first bytes at once: 1.6 KiB each with it,
                // which are gone afterwards, but not from the heap's size.
                Some(tls) => Box::pin(shake_hands(shard, connection, &tls, socket)).await,
                None => sniff(shard, connection, socket).await,
            }
        } => opened,
    }
}

async fn shake_hands<A: Application>(
    shard: &Shard<A>,
    connection: &Connection,
    tls: &Tls,
    socket: Socket,
) -> Result<Opened, EndReason> {
    let stream = timeout(shard.limits().tls_handshake, tls.acceptor().accept(socket))
        .await
        .map_err(|_| EndReason::HandshakeTimeout)?
        .map_err(|error| EndReason::of_handshake(&error, connection))?;
    // A client that names no protocol speaks HTTP/1.1 (RFC 7301 leaves it to the parties, RFC 9113 requires "h2").
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Ok(Opened {
        protocol,
        stream: Stream::tls(stream),
        head_deadline: Box::pin(sleep(shard.limits().request_head)),
    })
}

/// Tells HTTP/2 with prior knowledge from HTTP/1.1 by the first bytes, which are read again afterwards.
///
/// hyper-util's `auto` does this too, but hands the bytes back as a short read of their own, upon which hyper doubles
/// its read buffer to 16 KiB for the rest of the connection's life; and it has no deadline.
async fn sniff<A: Application>(
    shard: &Shard<A>,
    connection: &Connection,
    mut socket: Socket,
) -> Result<Opened, EndReason> {
    let deadline = Instant::from_std(connection.accepted) + shard.limits().request_head;
    let mut head_deadline = Box::pin(tokio::time::sleep_until(deadline));
    let mut seen = [0; PREFACE.len()];
    let mut length = 0;
    let protocol = loop {
        let read = tokio::select! {
            biased;
            read = socket.read(&mut seen[length..]) => read,
            () = &mut head_deadline => return Err(EndReason::HeadTimeout),
        };
        length += match read {
            Ok(0) => return Err(EndReason::PeerClosed),
            Ok(read) => read,
            Err(error) => return Err(EndReason::of_socket(&error, connection)),
        };
        if seen[..length] != PREFACE[..length] {
            break Protocol::Http1;
        }
        if length == PREFACE.len() {
            break Protocol::Http2;
        }
    };
    Ok(Opened {
        protocol,
        stream: Stream::plain(socket).replay(&seen[..length]),
        head_deadline,
    })
}

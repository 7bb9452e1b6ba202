use std::{
    cell::RefCell, collections::VecDeque, convert::Infallible, future::poll_fn, net::Ipv4Addr,
    rc::Rc, sync::Arc,
};

use allocation_counter::measure;
use http_body::Frame;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{unconstrained, yield_now},
};
use tokio_rustls::TlsConnector;

use super::*;
use crate::{Tls, h1::output::Framing, listener::Accepted, socket::Socket};

/// A body that says what is put in here.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<VecDeque<Bytes>>>);

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.borrow_mut().pop_front() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}

/// Both ends of a connection: the front end's socket, its account, and the client's.
async fn pair() -> (Socket, Arc<Connection>, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let local = listener.local_addr().unwrap();
    let client = TcpStream::connect(local).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    let accepted = Accepted {
        stream: stream.into_std().unwrap(),
        peer,
        tls: None,
        at: std::time::Instant::now(),
        load: None,
    };
    let connection = Arc::new(Connection::new(0, &accepted, local));
    let tcp = TcpStream::from_std(accepted.stream).unwrap();
    (
        Socket::new(tcp, Arc::clone(&connection)),
        connection,
        client,
    )
}

/// Allocations and system calls of a thousand deliveries, each by itself, after a few.
async fn deliveries(stream: Stream, connection: &Connection) -> (u64, u64) {
    let told = Told::default();
    let settled = Settled {
        body: Box::pin(told.clone()),
        framing: Framing::Chunked { last: false },
    };
    let mut lean = Lean::new(stream, settled, &[]);
    let (mut allocations, mut writes) = (0, 0);
    for turn in 0..1_010 {
        told.0
            .borrow_mut()
            .push_back(Bytes::from_static(&[b'x'; 100]));
        let before = connection.writes();
        // The runtime learns of a new socket's readiness by and by.
        while connection.writes() == before {
            yield_now().await;
            let counted = poll_fn(|context| {
                Poll::Ready(measure(|| {
                    lean.poll_listen(context, connection, 0).unwrap();
                    assert!(lean.poll_write(context, connection).is_pending());
                }))
            });
            let counted = unconstrained(counted).await;
            if turn >= 10 {
                allocations += counted.count_total;
            }
        }
        if turn >= 10 {
            writes += connection.writes() - before;
        }
    }
    (allocations, writes)
}

#[tokio::test]
async fn a_delivery_is_one_write_and_no_allocation() {
    let (socket, connection, _client) = pair().await;
    let counted = deliveries(Stream::plain(socket), &connection).await;
    assert_eq!(counted, (0, 1_000));
}

#[tokio::test]
async fn a_delivery_on_tls_is_one_write_and_one_allocation() {
    let directory = tempfile::tempdir().unwrap();
    let tls = Tls::self_signed(directory.path(), &[]).unwrap();
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(directory.path().join("ca.pem")).unwrap();
    roots.add(authority).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (socket, connection, client) = pair().await;
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    let (server, client) = tokio::join!(
        tls.acceptor().accept(socket),
        TlsConnector::from(Arc::new(config)).connect(name, client)
    );
    let _client = client.unwrap();
    let (allocations, writes) = deliveries(Stream::tls(server.unwrap()), &connection).await;
    assert_eq!(writes, 1_000);
    // The record, by rustls.
    assert_eq!(allocations, 1_000);
}

#[test]
fn a_lean_stream_is_small() {
    assert!(size_of::<Lean<Told>>() <= 104);
}

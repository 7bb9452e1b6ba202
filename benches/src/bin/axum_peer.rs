//! axum as a peer of the comparison: `Sse` over tokio's `broadcast`, kept alive, as its documentation has it; TLS as
//! in its own example of tokio-rustls under hyper-util. `axum-peer READY_FILE CERTIFICATE KEY`

use std::convert::Infallible;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::stream::{Stream, unfold};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Sender};
use tokio_rustls::TlsAcceptor;
use wellspring_benches::server::{Addresses, PATH};

type Topic = Sender<Arc<str>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [ready, certificate, key] = files.as_slice() else {
        return Err("axum-peer READY_FILE CERTIFICATE KEY".into());
    };
    let topic: Topic = broadcast::channel(1024).0;
    let app = Router::new()
        .route(PATH, get(subscribe).post(publish))
        .with_state(topic);
    let plain = TcpListener::bind("127.0.0.1:0").await?;
    let secure = TcpListener::bind("127.0.0.1:0").await?;
    let acceptor = TlsAcceptor::from(Arc::new(tls(certificate, key)?));
    Addresses::new(plain.local_addr()?, secure.local_addr()?).announce(ready)?;
    tokio::spawn(serve_tls(secure, acceptor, app.clone()));
    axum::serve(plain, app).await?;
    Ok(())
}

async fn subscribe(
    State(topic): State<Topic>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = unfold(topic.subscribe(), |mut receiver| async {
        loop {
            match receiver.recv().await {
                Ok(data) => return Some((Ok(Event::default().data(&*data)), receiver)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// An event a line.
async fn publish(State(topic): State<Topic>, body: String) {
    for data in body.lines() {
        // Without a subscriber there is nothing to do.
        let _ = topic.send(data.into());
    }
}

fn tls(certificate: &PathBuf, key: &PathBuf) -> Result<ServerConfig, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn serve_tls(listener: TcpListener, acceptor: TlsAcceptor, app: Router) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(socket).await else {
                return;
            };
            let service = TowerToHyperService::new(app);
            // Clients of the comparison leave without a word.
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    }
}

//! The client's side of TLS. The cryptography provider is chosen here and nowhere else in this crate.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use thiserror::Error;

use crate::target::{Protocol, Trust};

/// Why TLS could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file of authorities cannot be read or is not PEM.
    #[error("cannot read certificates from {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The file of authorities holds none that can be used.
    #[error("{} holds no usable CA certificate{}", path.display(), reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    NoAuthority {
        /// The file.
        path: PathBuf,
        /// What is wrong with the certificate that is there.
        reason: Option<rustls::Error>,
    },
}

/// A configuration that trusts whom `trust` names and offers exactly one protocol.
pub(crate) fn client(protocol: Protocol, trust: &Trust) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks TLS 1.2 and 1.3");
    let mut config = match trust {
        Trust::Authorities(path) => builder.with_root_certificates(authorities(path.clone())?),
        Trust::Nobody => builder.with_root_certificates(RootCertStore::empty()),
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(provider))),
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![alpn(protocol).to_vec()];
    Ok(Arc::new(config))
}

/// The protocol's name in the ALPN registry (RFC 7301, section 6; RFC 9113, section 3.1).
pub(crate) const fn alpn(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Http1 => b"http/1.1",
        Protocol::Http2 => b"h2",
    }
}

/// Whether a handshake failed because the server speaks none of the protocols offered (RFC 7301, section 3.2).
pub(crate) fn is_protocol_refusal(error: &io::Error) -> bool {
    let alert = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    error
        .get_ref()
        .and_then(|source| source.downcast_ref::<rustls::Error>())
        == Some(&alert)
}

/// What to do about a handshake that failed.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    let source = error
        .get_ref()
        .and_then(|source| source.downcast_ref::<rustls::Error>());
    match source {
        Some(rustls::Error::InvalidMessage(_)) => {
            "; does this port speak TLS at all? if not, the URL begins with http:"
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            "; a certificate of one's own needs --cacert FILE or --insecure"
        }
        _ => "",
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn authorities(path: PathBuf) -> Result<RootCertStore, TlsError> {
    let unreadable = |source| TlsError::Unreadable {
        path: path.clone(),
        source,
    };
    let mut store = RootCertStore::empty();
    let mut reason = None;
    for certificate in CertificateDer::pem_file_iter(&path).map_err(unreadable)? {
        if let Err(error) = store.add(certificate.map_err(unreadable)?) {
            reason = Some(error);
        }
    }
    if store.is_empty() {
        Err(TlsError::NoAuthority { path, reason })
    } else {
        Ok(store)
    }
}

/// Believes every certificate, but still checks that the peer holds its key: `--insecure` is for self-signed
/// certificates, not for broken handshakes.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

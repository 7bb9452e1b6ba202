//! Whom the client believes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use thiserror::Error;

/// Whose certificates are believed: the system's authorities, and what is named here.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Trust {
    /// Trust certificates of the authority in this PEM file, too (`wellspring certs` names the server's)
    #[arg(long = "cacert", value_name = "FILE", conflicts_with = "insecure")]
    pub authority: Option<PathBuf>,

    /// Trust any certificate, whoever it is from
    #[arg(long)]
    pub insecure: bool,
}

/// Why the file of authorities cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum TrustError {
    /// There is no such file, or it may not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// It is no PEM, or there is no certificate in it.
    #[error(
        "{} holds no PEM certificate: give the ca.pem that `wellspring certs` names",
        path.display()
    )]
    NoCertificate { path: PathBuf },
    /// A certificate in it is broken.
    #[error("{} holds a certificate that cannot be used: {source}", path.display())]
    Unusable {
        path: PathBuf,
        source: rustls::Error,
    },
}

impl Trust {
    /// The TLS configuration that believes them. ALPN is left to the connector.
    pub(super) fn configuration(&self) -> Result<ClientConfig, TrustError> {
        // Named here, so that nothing hangs on a provider that the process may or may not have installed.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS 1.2 and 1.3");
        let builder = if self.insecure {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        } else if let Some(verifier) = self.verifier(provider)? {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        } else {
            builder.with_root_certificates(RootCertStore::empty())
        };
        Ok(builder.with_no_client_auth())
    }

    /// What checks certificates; none where there is nobody to believe.
    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Option<Verifier>, TrustError> {
        let Some(path) = &self.authority else {
            // It fails on a machine that has no authorities (a bare container); http:// must work there all the same.
            return Ok(Verifier::new(provider).ok());
        };
        Verifier::new_with_extra_roots(authorities(path)?, provider)
            .map(Some)
            .map_err(|source| TrustError::Unusable {
                path: path.clone(),
                source,
            })
    }
}

/// The certificates in a PEM file; at least one.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let path = || path.to_owned();
    let failed = |error| match error {
        pem::Error::Io(source) => TrustError::Unreadable {
            path: path(),
            source,
        },
        _ => TrustError::NoCertificate { path: path() },
    };
    let certificates = CertificateDer::pem_file_iter(path())
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    if certificates.is_empty() {
        return Err(TrustError::NoCertificate { path: path() });
    }
    Ok(certificates)
}

/// Believes every certificate, but still checks that the peer holds its key: `--insecure` is for certificates from
/// nobody in particular, not for broken handshakes.
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
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

//! TLS: which certificate is shown, and how it changes while connections live.

mod certificate;
mod reload;
mod self_signed;
mod trust;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use certificate::TlsError;
pub(crate) use reload::Watch;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::NoServerSessionStorage,
};
pub use self_signed::CertificateFiles;
use tokio_rustls::TlsAcceptor;
pub use trust::trust_instructions;

use reload::Reloading;

/// How a listener speaks TLS: 1.2 and 1.3, ALPN `h2` and `http/1.1`, and a certificate that can change.
///
/// A clone shares the certificate: when it is reloaded, it is for all listeners that have it. While a front end
/// runs, it looks at the files every second and takes a new certificate over by itself; connections that are open keep
/// what they have. A new certificate that does not work is logged, and the old one stays.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Reloading>,
}

impl Tls {
    /// Shows the certificate chain in one PEM file, leaf first, with the private key in another (PKCS#8, SEC1 or
    /// PKCS#1; not encrypted).
    ///
    /// # Errors
    ///
    /// When a file cannot be read or has nothing of its kind in it, or when key and certificate do not belong together.
    pub fn from_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        Self::new(Reloading::from_files(certificate.into(), key.into())?)
    }

    /// Shows a certificate of a local authority in `directory`, for `localhost`, `127.0.0.1`, `::1` and `names` (DNS
    /// names, `*.` wildcards, addresses).
    ///
    /// Authority and certificate are made the first time and kept; see [`CertificateFiles`] for the files. Whoever
    /// trusts the authority once ([`trust_instructions`]) trusts every certificate that follows: a new one is made
    /// when a name is missing in it, or 30 days before it expires.
    ///
    /// # Errors
    ///
    /// When the files cannot be written or read, a name cannot stand in a certificate, or the authority's files do
    /// not belong together.
    pub fn self_signed(directory: impl AsRef<Path>, names: &[String]) -> Result<Self, TlsError> {
        Self::new(Reloading::self_signed(
            directory.as_ref().to_owned(),
            names.to_vec(),
        )?)
    }

    fn new(certificate: Reloading) -> Result<Self, TlsError> {
        let certificate = Arc::new(certificate);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Sessions live in tickets that the clients keep, under keys that rotate every 6 hours: after a restart of the
        // network 10,000 clients resume at once, where rustls' own store remembers 256, behind a lock.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Setup)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate,
        })
    }

    /// Takes the certificate over from its files now; true when it is another than before.
    ///
    /// # Errors
    ///
    /// As when it was loaded first. The old certificate stays.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.certificate.reload()
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tls")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// The cryptography, named here and not looked up in the process, where another library may have put its own.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

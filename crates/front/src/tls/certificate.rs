//! A certificate and its key, as they come from files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    InconsistentKeys,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    sign::CertifiedKey,
};

use super::provider;

/// A certificate cannot be used; says which file and what to do.
///
/// No message holds anything of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file or directory cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file has no certificate in it.
    #[error("no certificate in {}: a PEM file that begins with -----BEGIN CERTIFICATE----- is expected", .0.display())]
    NoCertificate(PathBuf),
    /// A file has no private key in it.
    #[error(
        "no private key in {}: a PEM file that begins with -----BEGIN PRIVATE KEY----- is expected; \
         an encrypted one can be decrypted with `openssl pkey`", .0.display()
    )]
    NoKey(PathBuf),
    /// A file is not valid PEM.
    #[error("{} is not valid PEM; was it cut short?", .0.display())]
    BadPem(PathBuf),
    /// Key and certificate do not belong together.
    #[error(
        "{} is not the key of the certificate in {}: give the two files that were issued together, leaf certificate first",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Certificate or key is of a kind that cannot be used.
    #[error("cannot use {} with {}: {source}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A name cannot stand in a certificate.
    #[error("{0:?} is neither a DNS name nor an address that a certificate can be made out to")]
    BadName(String),
    /// The local authority cannot issue a certificate.
    #[error(
        "the authority in {} cannot issue a certificate ({reason}): restore the file, or remove ca.pem and ca.key to \
         have a new authority made (it must then be trusted anew)", path.display()
    )]
    Authority {
        /// The file at fault.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// TLS itself cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Setup(#[source] rustls::Error),
}

/// Loads a certificate chain and its key, and checks that they belong together.
pub(super) fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = chain(certificate)?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(key.to_owned()),
        _ => TlsError::BadPem(key.to_owned()),
    })?;
    CertifiedKey::from_der(chain, secret, &provider()).map_err(|source| match source {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        },
        source => TlsError::Unusable {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        },
    })
}

/// Loads the certificates of a PEM file, at least one.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| TlsError::BadPem(path.to_owned()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(chain)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Whether two certified keys show the same certificates.
pub(super) fn same(one: &Arc<CertifiedKey>, other: &CertifiedKey) -> bool {
    one.cert == other.cert
}

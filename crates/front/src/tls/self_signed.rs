//! A local certificate authority and the certificate it issues: made once, kept, and safe to make twice at once.

use std::{
    fs::{self, File},
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    TlsError,
    certificate::{self, read},
    provider,
};

/// Names that every certificate is made out to.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Ten years: an authority is trusted by hand, and nobody wants to do that often.
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(3650);

/// A year and a month. Apple's platforms refuse more than 825 days, also from authorities that users trust themselves.
const LEAF_LIFE: Duration = DAY.saturating_mul(397);

/// How long before its end a certificate is replaced.
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);

/// The clocks of clients may be slow.
const BACKDATED: Duration = DAY;

/// The files of a local authority.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateFiles {
    /// The authority's certificate, `ca.pem`: what clients are told to trust.
    pub authority: PathBuf,
    /// The authority's key, `ca.key`: whoever has it can impersonate any site to those who trust the authority.
    pub authority_key: PathBuf,
    /// The server's certificate chain, `leaf.pem`.
    pub leaf: PathBuf,
    /// The server's key, `leaf.key`.
    pub leaf_key: PathBuf,
}

impl CertificateFiles {
    /// Where [`Tls::self_signed`](crate::Tls::self_signed) keeps them.
    #[must_use]
    pub fn in_directory(directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref();
        Self {
            authority: directory.join("ca.pem"),
            authority_key: directory.join("ca.key"),
            leaf: directory.join("leaf.pem"),
            leaf_key: directory.join("leaf.key"),
        }
    }
}

/// Sees to it that the directory holds an authority, and a certificate that is good for these names for a month.
pub(super) fn ensure(directory: &Path, names: &[String]) -> Result<(), TlsError> {
    ensure_at(directory, names, SystemTime::now())
}

fn ensure_at(directory: &Path, names: &[String], now: SystemTime) -> Result<(), TlsError> {
    make_directory(directory)?;
    // Two programs that start at once take turns, and the second finds the work done. Unlocked when dropped.
    let _lock = lock(&directory.join(".lock"))?;
    let files = CertificateFiles::in_directory(directory);
    let names = subjects(names)?;
    if !files.authority.exists() {
        make_authority(&files, now)?;
    }
    if is_good(&files, &names, now + RENEW_BEFORE) {
        return Ok(());
    }
    issue_leaf(&files, &names, now)
}

/// A name for a certificate, in both of the forms it is needed in.
struct Subject {
    alternative: SanType,
    server: ServerName<'static>,
}

fn subjects(names: &[String]) -> Result<Vec<Subject>, TlsError> {
    let mut all: Vec<&str> = LOCAL_NAMES.to_vec();
    for name in names {
        if !all.contains(&name.as_str()) {
            all.push(name);
        }
    }
    all.into_iter().map(subject).collect()
}

fn subject(name: &str) -> Result<Subject, TlsError> {
    let bad = || TlsError::BadName(name.to_owned());
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(Subject {
            alternative: SanType::IpAddress(address),
            server: ServerName::IpAddress(address.into()),
        });
    }
    // A client never asks for a wildcard, but for something that it covers.
    let asked_for = name
        .strip_prefix("*.")
        .map_or_else(|| name.to_owned(), |parent| format!("any.{parent}"));
    Ok(Subject {
        alternative: SanType::DnsName(name.try_into().map_err(|_| bad())?),
        server: ServerName::try_from(asked_for).map_err(|_| bad())?,
    })
}

/// Whether the files hold a certificate, and its key, that is good for each of the names at that time. Anything amiss is
/// a no, and makes a new one.
fn is_good(files: &CertificateFiles, names: &[Subject], at: SystemTime) -> bool {
    certificate::load(&files.leaf, &files.leaf_key)
        .is_ok_and(|leaf| is_trusted(&files.authority, &leaf.cert, names, at))
}

/// Asks what a client would ask that trusts nothing but the authority.
fn is_trusted(
    authority: &Path,
    chain: &[CertificateDer<'static>],
    names: &[Subject],
    at: SystemTime,
) -> bool {
    let Some((leaf, intermediates)) = chain.split_first() else {
        return false;
    };
    let Ok(authority) = certificate::chain(authority) else {
        return false;
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authority);
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let (Ok(verifier), Ok(at)) = (verifier, at.duration_since(SystemTime::UNIX_EPOCH)) else {
        return false;
    };
    let at = UnixTime::since_unix_epoch(at);
    names.iter().all(|name| {
        verifier
            .verify_server_cert(leaf, intermediates, &name.server, &[], at)
            .is_ok()
    })
}

/// Makes the authority. Where its key already exists, ca.pem was lost: the same key gives an authority of the same name.
fn make_authority(files: &CertificateFiles, now: SystemTime) -> Result<(), TlsError> {
    let key = if files.authority_key.exists() {
        authority_key(files)?
    } else {
        let key = new_key(&files.authority_key)?;
        write(&files.authority_key, key.serialize_pem().as_bytes(), true)?;
        key
    };
    let certificate = authority(&key, now)
        .self_signed(&key)
        .map_err(|error| refused(&files.authority, &error))?;
    write(&files.authority, certificate.pem().as_bytes(), false)
}

/// What the authority's certificate says. A function of its key alone, so that the issuer of the next leaf needs no
/// parsing of ca.pem.
fn authority(key: &KeyPair, now: SystemTime) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let public = key.public_key_raw();
    // Trust stores find authorities by name: two machines' must not share one.
    let mark: String = public[public.len().saturating_sub(4)..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    parameters.distinguished_name = named(&format!("Wellspring local CA {mark}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut parameters, now, AUTHORITY_LIFE);
    parameters
}

fn issue_leaf(
    files: &CertificateFiles,
    names: &[Subject],
    now: SystemTime,
) -> Result<(), TlsError> {
    let authority_key = authority_key(files)?;
    let issuer = Issuer::new(authority(&authority_key, now), authority_key);
    let key = new_key(&files.leaf_key)?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = named("Wellspring on this machine");
    parameters.subject_alt_names = names.iter().map(|name| name.alternative.clone()).collect();
    // Said and not left out: rustls refuses an authority's certificate as a server's.
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    valid_for(&mut parameters, now, LEAF_LIFE);
    let leaf = parameters
        .signed_by(&key, &issuer)
        .map_err(|error| refused(&files.authority_key, &error))?;
    if !is_trusted(&files.authority, &[leaf.der().clone()], names, now) {
        return Err(TlsError::Authority {
            path: files.authority_key.clone(),
            reason: "it is not the key of ca.pem".to_owned(),
        });
    }
    write(&files.leaf_key, key.serialize_pem().as_bytes(), true)?;
    write(&files.leaf, leaf.pem().as_bytes(), false)
}

fn authority_key(files: &CertificateFiles) -> Result<KeyPair, TlsError> {
    let path = &files.authority_key;
    if !path.exists() {
        return Err(TlsError::Authority {
            path: path.clone(),
            reason: "the file is missing".to_owned(),
        });
    }
    let pem = String::from_utf8(read(path)?).map_err(|_| TlsError::BadPem(path.clone()))?;
    KeyPair::from_pem(&pem).map_err(|error| refused(path, &error))
}

/// ECDSA on P-256: what every client takes, and the fastest to sign with.
fn new_key(path: &Path) -> Result<KeyPair, TlsError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| refused(path, &error))
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Wellspring");
    name.push(DnType::CommonName, common_name);
    name
}

fn valid_for(parameters: &mut CertificateParams, now: SystemTime, life: Duration) {
    parameters.not_before = (now - BACKDATED).into();
    parameters.not_after = (now - BACKDATED + life).into();
}

fn refused(path: &Path, error: &rcgen::Error) -> TlsError {
    TlsError::Authority {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn make_directory(path: &Path) -> Result<(), TlsError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder
        .create(path)
        .map_err(|source| not_written(path, source))
}

fn lock(path: &Path) -> Result<File, TlsError> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    options
        .open(path)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|source| not_written(path, source))
}

/// Writes a file so that readers see the old one or the new one, and a secret never under a wider mode than 0600.
fn write(path: &Path, contents: &[u8], secret: bool) -> Result<(), TlsError> {
    let temporary = path.with_extension(format!("new.{}", std::process::id()));
    let result =
        write_new(&temporary, contents, secret).and_then(|()| fs::rename(&temporary, path));
    result.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        not_written(path, source)
    })
}

fn write_new(path: &Path, contents: &[u8], secret: bool) -> io::Result<()> {
    // Left behind by a crash of a process with the same id; the lock says that nobody is writing it now.
    if path.exists() {
        fs::remove_file(path)?;
    }
    let mut options = File::options();
    options.create_new(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = secret;
    let mut file = options.open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

fn not_written(path: &Path, source: io::Error) -> TlsError {
    TlsError::Write {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;

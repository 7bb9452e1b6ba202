//! A certificate that changes while connections live.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, mpsc},
    thread,
    time::{Duration, Instant, SystemTime},
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{Tls, TlsError, certificate, self_signed};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often a self-signed certificate is checked for its expiry: it lives for a year, and so may a server.
const RENEWAL: Duration = Duration::from_secs(60 * 60);

/// The certificate in use, and where the next one comes from.
pub(super) struct Reloading {
    source: Source,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
}

enum Source {
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
    SelfSigned {
        directory: PathBuf,
        names: Vec<String>,
    },
}

/// What the watch knows of the files.
struct Seen {
    /// The state that `current` was loaded from, or that was reported as bad.
    settled: State,
    /// A state that could not be loaded, the first time: it may be half written, key before certificate.
    suspect: Option<State>,
}

/// What tells one version of a pair of files from the next.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State([Option<FileState>; 2]);

/// Follows symbolic links: Kubernetes replaces a mounted secret by turning a link to another directory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileState {
    modified: Option<SystemTime>,
    length: u64,
    /// Inode and time of change: tells files apart that were copied with their modification time.
    identity: (u64, i64, i64),
}

impl Reloading {
    pub(super) fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        Self::new(Source::Files { certificate, key })
    }

    pub(super) fn self_signed(directory: PathBuf, names: Vec<String>) -> Result<Self, TlsError> {
        Self::new(Source::SelfSigned { directory, names })
    }

    fn new(source: Source) -> Result<Self, TlsError> {
        source.renew()?;
        let state = source.state();
        Ok(Self {
            current: RwLock::new(Arc::new(source.load()?)),
            source,
            seen: Mutex::new(Seen {
                settled: state,
                suspect: None,
            }),
        })
    }

    /// Loads the files now; true when they hold another certificate than before.
    pub(super) fn reload(&self) -> Result<bool, TlsError> {
        self.source.renew()?;
        let state = self.source.state();
        let changed = self.take_over()?;
        *self.seen() = Seen {
            settled: state,
            suspect: None,
        };
        Ok(changed)
    }

    fn take_over(&self) -> Result<bool, TlsError> {
        let next = self.source.load()?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let changed = !certificate::same(&current, &next);
        *current = Arc::new(next);
        Ok(changed)
    }

    /// Looks at the files once, and takes over what has changed and works.
    fn look(&self) {
        let state = self.source.state();
        let mut seen = self.seen();
        if state == seen.settled {
            seen.suspect = None;
            return;
        }
        match self.take_over() {
            Ok(changed) => {
                if changed {
                    tracing::info!(certificate = ?self.source, "took over the new certificate");
                }
                seen.settled = state;
                seen.suspect = None;
            }
            // Whoever writes two files writes one of them first: only a state that lasts is bad.
            Err(_) if seen.suspect != Some(state) => seen.suspect = Some(state),
            Err(error) => {
                tracing::error!(%error, "the new certificate does not work; the old one stays");
                seen.settled = state;
                seen.suspect = None;
            }
        }
    }

    fn renew(&self) {
        if let Err(error) = self.source.renew() {
            tracing::error!(%error, "cannot renew the self-signed certificate; the old one stays");
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl fmt::Debug for Reloading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(formatter)
    }
}

impl Source {
    fn files(&self) -> (PathBuf, PathBuf) {
        match self {
            Self::Files { certificate, key } => (certificate.clone(), key.clone()),
            Self::SelfSigned { directory, .. } => {
                let files = self_signed::CertificateFiles::in_directory(directory);
                (files.leaf, files.leaf_key)
            }
        }
    }

    fn load(&self) -> Result<CertifiedKey, TlsError> {
        let (certificate, key) = self.files();
        certificate::load(&certificate, &key)
    }

    fn state(&self) -> State {
        let (certificate, key) = self.files();
        State([FileState::of(&certificate), FileState::of(&key)])
    }

    /// Sees to it that the files exist and are good for a while, where they are ours to make.
    fn renew(&self) -> Result<(), TlsError> {
        match self {
            Self::Files { .. } => Ok(()),
            Self::SelfSigned { directory, names } => self_signed::ensure(directory, names),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files().0.fmt(formatter)
    }
}

impl FileState {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt;
            (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
        };
        #[cfg(not(unix))]
        let identity = (0, 0, 0);
        Some(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            identity,
        })
    }
}

/// The thread that looks at the certificates' files while a front end runs.
///
/// It looks once a second instead of waiting for inotify: that watches a directory and not a name, so that a chain of
/// symbolic links (Kubernetes, certbot) takes a watch on each directory on the way, anew after each change; it is
/// silent on NFS and on most container mounts; and it exists on Linux only. Two `stat` a second cost nothing.
pub(crate) struct Watch {
    _stop: mpsc::Sender<()>,
}

impl Watch {
    pub(crate) fn start(listeners: impl Iterator<Item = Tls>) -> io::Result<Self> {
        let mut certificates: Vec<Arc<Reloading>> = Vec::new();
        for tls in listeners {
            if !certificates
                .iter()
                .any(|known| Arc::ptr_eq(known, &tls.certificate))
            {
                certificates.push(tls.certificate);
            }
        }
        let (stop, stopped) = mpsc::channel();
        if !certificates.is_empty() {
            thread::Builder::new()
                .name("certificates".to_owned())
                .spawn(move || watch(&certificates, &stopped))?;
        }
        Ok(Self { _stop: stop })
    }
}

fn watch(certificates: &[Arc<Reloading>], stopped: &mpsc::Receiver<()>) {
    let mut renewed = Instant::now();
    while stopped.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
        let renew = renewed.elapsed() >= RENEWAL;
        if renew {
            renewed = Instant::now();
        }
        for certificate in certificates {
            if renew {
                certificate.renew();
            }
            certificate.look();
        }
    }
}

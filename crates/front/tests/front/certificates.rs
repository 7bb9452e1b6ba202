//! Certificates that change while connections live.

use std::{fs, path::Path};

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use wellspring_front::{CertificateFiles, Protocol, Scheme, Tls, trust_instructions};

use crate::{
    application::Server,
    browser::{Browser, config, connect_tls, next},
    faults::log,
    soon, until,
};

/// Puts a certificate and key into a directory of the given name, as a new version of a Kubernetes secret would be.
fn version(directory: &Path, name: &str) -> CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let version = directory.join(name);
    fs::create_dir_all(&version).unwrap();
    fs::write(version.join("tls.crt"), certificate.pem()).unwrap();
    fs::write(version.join("tls.key"), key.serialize_pem()).unwrap();
    // So that clients trust this one, and the test sees which it is.
    fs::write(version.join("ca.pem"), certificate.pem()).unwrap();
    certificate.der().clone()
}

/// Turns `current` to another version, in one step.
fn turn(directory: &Path, name: &str) {
    let link = directory.join("next");
    std::os::unix::fs::symlink(name, &link).unwrap();
    fs::rename(link, directory.join("current")).unwrap();
}

fn mounted() -> (Server, CertificateDer<'static>) {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let first = version(path, "first");
    turn(path, "first");
    let tls = Tls::from_files(
        path.join("current").join("tls.crt"),
        path.join("current").join("tls.key"),
    )
    .unwrap();
    (Server::with_tls(directory, tls, 1, |_| {}), first)
}

/// The certificate that a new connection is shown.
async fn shown(server: &Server, trusted: &str) -> Option<CertificateDer<'static>> {
    let config = config(&server.directory.path().join(trusted), &["h2"]);
    let stream = tokio::net::TcpStream::connect(server.address(Scheme::Https))
        .await
        .unwrap();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let stream = tokio_rustls::TlsConnector::from(config)
        .connect(name, stream)
        .await
        .ok()?;
    Some(stream.get_ref().1.peer_certificates()?[0].clone())
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_and_no_connection_dropped() {
    let (server, first) = mounted();
    let path = server.directory.path();
    assert_eq!(shown(&server, "first").await, Some(first));
    let stream = connect_tls(
        server.address(Scheme::Https),
        &config(&path.join("first"), &["h2"]),
    )
    .await;
    let mut browser = Browser::over(stream, Protocol::Http2).await;
    let mut stream = browser.get("/stream").await.unwrap();

    let second = version(path, "second");
    turn(path, "second");
    soon("the new certificate", async {
        while shown(&server, "second").await.as_ref() != Some(&second) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;

    server.application.publish(b"still the same stream");
    assert_eq!(
        next(&mut stream).await.unwrap().unwrap(),
        "still the same stream"
    );
}

#[tokio::test]
async fn a_bad_new_certificate_is_logged_and_the_old_one_stays() {
    let log = log();
    let (server, first) = mounted();
    let path = server.directory.path();
    version(path, "bad");
    fs::write(path.join("bad").join("tls.crt"), "not a certificate").unwrap();
    turn(path, "bad");
    until("a complaint", || log.contains("no certificate in")).await;
    assert!(log.contains("tls.crt"), "{}", log.text());
    assert_eq!(shown(&server, "first").await, Some(first.clone()));

    // Asked for by hand, it says so by hand.
    let text = server.tls.reload().unwrap_err().to_string();
    assert!(text.contains("tls.crt"), "{text}");

    // Key and certificate that do not belong together.
    version(path, "mixed");
    fs::copy(
        path.join("first").join("tls.key"),
        path.join("mixed").join("tls.key"),
    )
    .unwrap();
    turn(path, "mixed");
    let text = server.tls.reload().unwrap_err().to_string();
    assert!(
        text.contains("tls.key is not the key of the certificate"),
        "{text}"
    );
    assert_eq!(shown(&server, "first").await, Some(first));

    // And a good one is taken after all.
    let last = version(path, "last");
    turn(path, "last");
    assert!(server.tls.reload().unwrap(), "changed");
    assert_eq!(shown(&server, "last").await, Some(last));
    assert!(!server.tls.reload().unwrap(), "unchanged");
    assert!(!log.contains("PRIVATE"), "a key reached the log");
}

#[test]
fn errors_name_the_file_and_what_to_do() {
    let directory = TempDir::new().unwrap();
    let (certificate, key) = (
        directory.path().join("a.pem"),
        directory.path().join("a.key"),
    );
    let error = || Tls::from_files(&certificate, &key).unwrap_err().to_string();
    let text = error();
    assert!(
        text.contains("cannot read") && text.contains("a.pem"),
        "{text}"
    );
    version(directory.path(), "good");
    fs::copy(directory.path().join("good").join("tls.crt"), &certificate).unwrap();
    fs::write(&key, "").unwrap();
    let text = error();
    assert!(
        text.contains("no private key in") && text.contains("a.key"),
        "{text}"
    );
}

#[test]
fn debug_output_shows_no_key() {
    let directory = TempDir::new().unwrap();
    let tls = Tls::self_signed(directory.path(), &[]).unwrap();
    let leaf = CertificateFiles::in_directory(directory.path()).leaf;
    let shown = format!("{tls:?}");
    assert_eq!(shown, format!("Tls {{ certificate: {leaf:?}, .. }}"));
}

#[test]
fn people_are_told_how_to_trust_the_authority() {
    let text = trust_instructions(Path::new("/srv/certs"));
    for word in [
        "/srv/certs/ca.pem",
        "Linux",
        "macOS",
        "Windows",
        "Chrome",
        "Firefox",
        "curl",
    ] {
        assert!(text.contains(word), "{word}");
    }
}

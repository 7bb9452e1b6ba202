//! Protocols and certificates, as OpenSSL and curl see them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::process::Process;
use crate::program::{Program, until};
use crate::stream::Events;
use crate::transport::{Transport, publish};

#[tokio::test]
async fn openssl_agrees_on_both_protocols_under_both_versions() {
    let program = Program::start(&[]);
    let authority = program.authority();
    for (version, shown) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        for protocol in ["h2", "http/1.1"] {
            let seen = s_client(&program, &authority, &[version, "-alpn", protocol]);
            let context = format!("{version} {protocol}:\n{seen}");
            assert!(
                seen.contains(&format!("ALPN protocol: {protocol}\n")),
                "{context}"
            );
            assert!(
                seen.contains(&format!("New, {shown}, Cipher is")),
                "{context}"
            );
            assert!(seen.contains("Verification: OK"), "{context}");
        }
    }
    let both = s_client(&program, &authority, &["-alpn", "http/1.1,h2"]);
    assert!(
        both.contains("ALPN protocol: h2\n"),
        "the server prefers it: {both}"
    );
    let neither = s_client(&program, &authority, &["-alpn", "smtp"]);
    assert!(!neither.contains("ALPN protocol: "), "{neither}");
}

#[tokio::test]
async fn curl_believes_the_authority_and_nobody_else() {
    let program = Program::start(&[]);
    let authority = program.authority();
    let authority = authority.to_str().unwrap();
    let url = format!("https://localhost:{}/healthz", program.address(true).port());
    for (arguments, version) in [(&["--http2"][..], "2"), (&["--http1.1"], "1.1")] {
        let told = curl(
            &[
                arguments,
                &["--cacert", authority, "-w", "%{http_version}", &url],
            ]
            .concat(),
        );
        assert_eq!(text(&told.stdout), format!("ok\n{version}"), "{told:?}");
    }
    let address = format!("{}/healthz", program.https());
    let told = curl(&["--cacert", authority, &address]);
    assert_eq!(
        text(&told.stdout),
        "ok\n",
        "the address is named too: {told:?}"
    );
    let refused = curl(&[&url]);
    assert_eq!(
        refused.status.code(),
        Some(60),
        "CURLE_PEER_FAILED_VERIFICATION: {refused:?}"
    );
}

#[tokio::test]
async fn certificates_are_made_once_and_their_keys_are_private() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let files = ["ca.pem", "ca.key", "leaf.pem", "leaf.key"];
    let mut made = Vec::new();
    for _ in 0..2 {
        let told = Process::run_in(folder.path(), &[], &["certs", "--certs", "kept"]);
        assert_eq!(told.code, Some(0), "{told:?}");
        let authority = told.output.iter().find(|line| line.contains("kept/ca.pem"));
        assert!(authority.is_some(), "it says where: {told:?}");
        for system in ["Linux", "macOS", "Windows", "Chrome", "Firefox"] {
            assert!(
                told.output.iter().any(|line| line.contains(system)),
                "{system}: {told:?}"
            );
        }
        let all = files.map(|name| std::fs::read(folder.path().join("kept").join(name)).unwrap());
        made.push(all);
    }
    assert!(made[0] == made[1], "made anew");
    for key in ["ca.key", "leaf.key"] {
        let path = folder.path().join("kept").join(key);
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
}

#[tokio::test]
async fn replaced_files_serve_new_connections_while_a_stream_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| {
        let made = Process::run_in(folder.path(), &[], &["certs", "--certs", name]);
        assert_eq!(made.code, Some(0), "{made:?}");
        folder.path().join(name)
    });
    let [certificate, key] = ["served.pem", "served.key"].map(|name| folder.path().join(name));
    let put = |from: &Path| {
        replace(&from.join("leaf.key"), &key);
        replace(&from.join("leaf.pem"), &certificate);
    };
    put(&old);
    let paths = [&certificate, &key].map(|path| path.to_str().unwrap());
    let program = Program::start(&["--cert", paths[0], "--key", paths[1]]);
    // The program's own folder has no authority then; the clients of the suite look for it there.
    std::fs::create_dir_all(program.folder().join("certs")).unwrap();
    std::fs::copy(old.join("ca.pem"), program.authority()).unwrap();
    let mut open = Vec::new();
    for transport in [Transport::Http1Tls, Transport::Http2] {
        let mut events = Events::open(&program, transport, "/topics/lasting").await;
        publish(&program, "lasting", "before").await;
        assert_eq!(events.next().await.data, "before");
        open.push(events);
        // The next reader begins after it.
    }
    let authority = |folder: &Path| folder.join("ca.pem");
    assert!(verifies(&program, &authority(&old)) && !verifies(&program, &authority(&new)));
    put(&new);
    until("the new certificate", || {
        verifies(&program, &authority(&new)).then_some(())
    })
    .await;
    assert!(!verifies(&program, &authority(&old)));
    publish(&program, "lasting", "after").await;
    assert_eq!(open[1].next().await.data, "after");
    assert_eq!(open[0].next().await.data, "before", "the second reader's");
    assert_eq!(open[0].next().await.data, "after");

    // A bad one changes nothing, and is told.
    std::fs::write(&certificate, "no certificate").unwrap();
    program
        .logged("a complaint", |line| line.contains("the old one stays"))
        .await;
    assert!(verifies(&program, &authority(&new)));
}

fn verifies(program: &Program, authority: &Path) -> bool {
    s_client(program, authority, &[]).contains("Verification: OK")
}

/// What `openssl s_client` says of a handshake.
fn s_client(program: &Program, authority: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-servername", "localhost"])
        .args(["-connect", &program.address(true).to_string()])
        .arg("-CAfile")
        .arg(authority)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl must be installed (apt-get install openssl)");
    text(&output.stdout)
}

fn curl(arguments: &[&str]) -> Output {
    Command::new("curl")
        .args(["-sS", "--max-time", "60"])
        .args(arguments)
        .output()
        .expect("curl must be installed (apt-get install curl)")
}

/// As certbot and its kin do it: at no time is there half a file.
fn replace(from: &Path, to: &PathBuf) {
    let part = to.with_extension("part");
    std::fs::copy(from, &part).unwrap();
    std::fs::rename(&part, to).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

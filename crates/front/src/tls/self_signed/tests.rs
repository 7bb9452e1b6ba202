use std::thread;

use tempfile::tempdir;

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn contents(directory: &Path) -> [Vec<u8>; 4] {
    let files = CertificateFiles::in_directory(directory);
    [
        files.authority,
        files.authority_key,
        files.leaf,
        files.leaf_key,
    ]
    .map(|path| fs::read(path).unwrap())
}

#[test]
fn made_once_and_reused() {
    let directory = tempdir().unwrap();
    ensure(directory.path(), &[]).unwrap();
    let first = contents(directory.path());
    ensure(directory.path(), &[]).unwrap();
    assert_eq!(first, contents(directory.path()));
}

#[test]
fn a_new_name_gets_a_new_leaf_of_the_same_authority() {
    let directory = tempdir().unwrap();
    ensure(directory.path(), &[]).unwrap();
    let [ca, ca_key, leaf, _] = contents(directory.path());
    ensure(
        directory.path(),
        &names(&["wellspring.test", "*.wellspring.test", "192.0.2.7"]),
    )
    .unwrap();
    let [ca_after, ca_key_after, leaf_after, _] = contents(directory.path());
    assert_eq!((ca, ca_key), (ca_after, ca_key_after));
    assert_ne!(leaf, leaf_after);
    let files = CertificateFiles::in_directory(directory.path());
    let asked = names(&["a.wellspring.test", "wellspring.test", "192.0.2.7"]);
    assert!(is_good(
        &files,
        &subjects(&asked).unwrap(),
        SystemTime::now()
    ));
    let stranger = names(&["elsewhere.test"]);
    assert!(!is_good(
        &files,
        &subjects(&stranger).unwrap(),
        SystemTime::now()
    ));
}

#[test]
fn a_leaf_that_is_about_to_expire_is_issued_anew_by_the_same_authority() {
    let directory = tempdir().unwrap();
    let now = SystemTime::now();
    ensure_at(directory.path(), &[], now).unwrap();
    let first = contents(directory.path());
    ensure_at(directory.path(), &[], now + DAY * 365).unwrap();
    assert_eq!(first, contents(directory.path()));
    ensure_at(directory.path(), &[], now + DAY * 367).unwrap();
    let second = contents(directory.path());
    assert_eq!(first[..2], second[..2]);
    assert_ne!(first[2], second[2]);
}

#[test]
fn programs_that_start_at_once_agree() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    thread::scope(|scope| {
        let starters: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| ensure(path, &[]).map(|()| contents(path))))
            .collect();
        let mut seen = starters
            .into_iter()
            .map(|starter| starter.join().unwrap().unwrap());
        let first = seen.next().unwrap();
        assert!(seen.all(|other| other == first));
    });
}

#[test]
#[cfg(unix)]
fn nobody_else_can_read_the_keys() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempdir().unwrap();
    let path = directory.path().join("certs");
    ensure(&path, &[]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = CertificateFiles::in_directory(&path);
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&files.authority_key), 0o600);
    assert_eq!(mode(&files.leaf_key), 0o600);
}

#[test]
fn a_lost_authority_certificate_is_made_again_from_its_key() {
    let directory = tempdir().unwrap();
    ensure(directory.path(), &[]).unwrap();
    let [_, ca_key, leaf, _] = contents(directory.path());
    let files = CertificateFiles::in_directory(directory.path());
    fs::remove_file(&files.authority).unwrap();
    ensure(directory.path(), &[]).unwrap();
    let [_, ca_key_after, leaf_after, _] = contents(directory.path());
    assert_eq!((ca_key, leaf), (ca_key_after, leaf_after));
}

#[test]
fn an_authority_whose_key_is_another_is_an_error_that_says_so() {
    let directory = tempdir().unwrap();
    ensure(directory.path(), &[]).unwrap();
    let files = CertificateFiles::in_directory(directory.path());
    let stranger = new_key(&files.authority_key).unwrap();
    fs::write(&files.authority_key, stranger.serialize_pem()).unwrap();
    // The leaf is still good, and an authority's key is not needed before it is.
    ensure(directory.path(), &[]).unwrap();
    let error = ensure(directory.path(), &names(&["new.test"])).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("ca.key") && text.contains("not the key of ca.pem"),
        "{text}"
    );
    assert!(!text.contains("PRIVATE"), "{text}");
    ensure(directory.path(), &[]).expect("the leaf that was there still is");
}

#[test]
fn a_name_that_cannot_stand_in_a_certificate_is_refused() {
    let directory = tempdir().unwrap();
    let error = ensure(directory.path(), &names(&["not a name"])).unwrap_err();
    assert!(error.to_string().contains("\"not a name\""), "{error}");
}

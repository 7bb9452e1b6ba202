//! How people come to trust the local authority.

use std::path::Path;

use super::CertificateFiles;

/// Says, for people, how to trust the authority in `directory`: on Linux, macOS and Windows, in Chrome and Firefox,
/// and how to do without. The file need not exist yet.
#[must_use]
pub fn trust_instructions(directory: &Path) -> String {
    let authority = CertificateFiles::in_directory(directory).authority;
    let authority = std::path::absolute(&authority).unwrap_or(authority);
    let path = authority.display();
    format!(
        "\
The authority to trust: {path}
Trust it once; every certificate that follows is issued by it.
Keep ca.key beside it secret: who has it can impersonate any site to those who trust the authority.

Linux, the system (Debian, Ubuntu; curl and most programs)
    sudo cp '{path}' /usr/local/share/ca-certificates/wellspring.crt
    sudo update-ca-certificates
Linux, the system (Fedora, Red Hat, Arch)
    sudo trust anchor --store '{path}'
Linux, Chrome and Chromium (they have a store of their own; certutil is in libnss3-tools or nss-tools)
    mkdir -p ~/.pki/nssdb
    certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n wellspring -i '{path}'
macOS (Safari, Chrome, curl)
    sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain '{path}'
Windows (Edge, Chrome), in a terminal
    certutil -user -addstore Root \"{path}\"
Firefox, everywhere
    Settings, Privacy & Security, Certificates, View Certificates, Authorities, Import: choose
    {path}
    and tick \"Trust this CA to identify websites\".

For one command only
    curl --cacert '{path}' https://localhost:8443/
    NODE_EXTRA_CA_CERTS='{path}' node app.js
    SSL_CERT_FILE='{path}' python app.py
"
    )
}

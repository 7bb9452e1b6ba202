//! nginx with Nchan: its configuration out of the template, its module where distributions put it.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use super::{Addresses, parse, runs};

const TEMPLATE: &str = include_str!("../../peers/nginx.conf");

const MODULES: [&str; 3] = [
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "/usr/lib64/nginx/modules/ngx_nchan_module.so",
    "/etc/nginx/modules/ngx_nchan_module.so",
];

pub(super) fn missing() -> Option<String> {
    let install = "apt-get install nginx libnginx-mod-nchan";
    if !runs("nginx", "-v") {
        Some(format!("no nginx here: {install}"))
    } else if module().is_none() {
        Some(format!("no Nchan here: {install}"))
    } else {
        None
    }
}

/// Writes configuration and ready file into `directory`: nginx does not tell where it listens, so it is told.
pub(super) fn command(directory: &Path, ready: &Path) -> io::Result<Command> {
    let (http, https) = (free_address()?, free_address()?);
    let configuration = directory.join("nginx.conf");
    let text = TEMPLATE
        .replace("@MODULE@", module().unwrap_or_default())
        .replace("@DIRECTORY@", &directory.display().to_string())
        .replace("@HTTPS@", &https.to_string())
        .replace("@HTTP@", &http.to_string());
    fs::write(&configuration, text)?;
    Addresses::new(http, https).announce(ready)?;
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(directory)
        .arg("-c")
        .arg(configuration);
    Ok(command)
}

pub(super) fn listens(ready: &Path) -> bool {
    let addresses = fs::read(ready).map(|text| serde_json::from_slice::<Addresses>(&text));
    let Ok(Ok(addresses)) = addresses else {
        return false;
    };
    TcpStream::connect(parse(&addresses.https)).is_ok()
}

fn module() -> Option<&'static str> {
    MODULES.into_iter().find(|path| Path::new(path).exists())
}

/// One that nobody has at the moment.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

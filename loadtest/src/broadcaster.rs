//! The self-check's other side, in a process of its own: this program, called by itself with a word that no URL is.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use wellspring_load::calibrate::{Broadcaster, Stamping};

const WORD: &str = "broadcast";

/// A broadcaster's process. It ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    broadcaster: Broadcaster,
}

/// Starts one.
pub(crate) fn start(stamping: Stamping) -> io::Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(WORD)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if let Stamping::AtWrite { zero } = stamping {
        command.arg(zero.as_nanos().to_string());
    }
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    let address: SocketAddr = line
        .trim()
        .parse()
        .map_err(|_| io::Error::other("it does not say where it listens"))?;
    let broadcaster = Broadcaster {
        address,
        process: Some(child.id()),
    };
    Ok(Process { child, broadcaster })
}

/// Is the broadcaster, if this process was started as one.
pub(crate) fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let stamping = match arguments
        .next()
        .and_then(|zero| zero.to_str()?.parse().ok())
    {
        Some(zero) => Stamping::AtWrite {
            zero: Duration::from_nanos(zero),
        },
        None => Stamping::AsPublished,
    };
    Some(match serve(stamping) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wellspring-load: broadcaster: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve(stamping: Stamping) -> io::Result<()> {
    // As many as may be; who asks for more is told by the generator.
    let _ = wellspring_load::process::allow_files(u64::from(u16::MAX));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    Broadcaster::serve(&listener, stamping)
}

impl AsRef<Broadcaster> for Process {
    fn as_ref(&self) -> &Broadcaster {
        &self.broadcaster
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The real program as a child, for as long as the experiment lasts.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{LabError, Site};
use crate::target::Trust;

/// How long it may take until it serves: the first start makes certificates.
const DEADLINE: Duration = Duration::from_secs(20);

/// A running `wellspring serve` on free ports of loopback, with certificates of its own. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    site: Site,
    /// Its certificates; they vanish with it.
    _folder: TempDir,
}

/// What `--ready-file` holds.
#[derive(Deserialize)]
struct Ready {
    http: String,
    https: String,
}

impl Program {
    /// Starts it, with names for so many shards in its certificate, and waits until it serves.
    ///
    /// # Cancel safety
    /// Dropping the future ends it.
    pub(crate) async fn start(program: &Path, shards: usize) -> Result<Self, LabError> {
        let failed = |reason: String| LabError::Program {
            program: program.to_owned(),
            reason,
        };
        let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
        let ready_file = folder.path().join("ready.json");
        let mut command = Command::new(program);
        command
            .args(["serve", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"])
            .args(["--log", "error", "--drain", "1s"])
            .arg("--certs")
            .arg(folder.path().join("certs"))
            .arg("--ready-file")
            .arg(&ready_file);
        for shard in 0..shards {
            command.args(["--name", &format!("{}.localhost", Site::shard(shard))]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let mut starting = Self {
            site: Site {
                plain: None,
                secure: None,
                trust: Trust::Authorities(folder.path().join("certs/ca.pem")),
                process: Some(child.id()),
                is_named: true,
            },
            child,
            _folder: folder,
        };
        let deadline = Instant::now() + DEADLINE;
        loop {
            let ready = std::fs::read(&ready_file).ok();
            if let Some(ready) =
                ready.and_then(|ready| serde_json::from_slice::<Ready>(&ready).ok())
            {
                // The name that browsers use, and under which the shards are.
                let named = |url: String| Some(url.replace("127.0.0.1", "localhost"));
                starting.site.plain = named(ready.http);
                starting.site.secure = named(ready.https);
                return Ok(starting);
            }
            let ended = starting
                .child
                .try_wait()
                .map_err(|error| failed(error.to_string()))?;
            if let Some(status) = ended {
                return Err(failed(format!("it ended with {status}")));
            }
            if Instant::now() >= deadline {
                return Err(failed(format!(
                    "it does not serve after {} s",
                    DEADLINE.as_secs()
                )));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing that it should still write.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! What the figures were measured on.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use serde::Serialize;

/// A machine, and when.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// As the processor calls itself.
    pub processor: String,
    /// Cores that may be used.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Year, month and day, UTC.
    pub date: String,
}

impl Machine {
    /// This one, now.
    #[must_use]
    pub fn here() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: processor
                .map_or("unknown processor", |(_, name)| name)
                .to_owned(),
            cores: available_parallelism().map_or(1, usize::from),
            kernel: kernel.trim().to_owned(),
            date: today(),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            processor,
            cores,
            kernel,
            date,
        } = self;
        write!(out, "{processor}, {cores} cores, Linux {kernel}, {date}")
    }
}

/// A calendar is more than this is worth: the system has one.
fn today() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    date.unwrap_or_default()
}

//! What a process on this machine uses, as Linux counts it.

use std::fs;
use std::io;
use std::time::Duration;

/// A reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU of all its threads, in user space and in the kernel.
    pub(crate) cpu: Duration,
    /// Bytes of memory that are its own at this moment (VmRSS). What the kernel holds for its sockets is not in it.
    pub(crate) memory: u64,
}

impl Usage {
    /// Reads `/proc`. To the nanosecond: the ticks of `/proc/PID/stat` are 10 ms, more than a small trial takes.
    ///
    /// # Errors
    /// When there is no such process, or no such system.
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let mut cpu = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread may end while the others are read.
            let Ok(schedule) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let spent = schedule
                .split_ascii_whitespace()
                .next()
                .and_then(|nanoseconds| nanoseconds.parse().ok());
            cpu += Duration::from_nanos(spent.unwrap_or(0));
        }
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
        Ok(Self {
            cpu,
            memory: kibibytes.unwrap_or(0) * 1024,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_memory_show() {
        let before = Usage::of(std::process::id()).unwrap();
        let filled = vec![1_u8; 32 << 20];
        let sum = filled.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        // What a running thread has used shows when it gives way.
        std::thread::yield_now();
        let after = Usage::of(std::process::id()).unwrap();
        assert_eq!(sum, 32 << 20);
        assert!(after.cpu > before.cpu, "{before:?} {after:?}");
        assert!(
            after.memory > before.memory + (16 << 20),
            "{before:?} {after:?}"
        );
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(Usage::of(u32::MAX).is_err());
    }
}

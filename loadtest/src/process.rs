//! What a process of this machine costs, by Linux' `/proc`.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use thiserror::Error;

/// Files that a process has open besides its connections: standard streams, epoll, reports.
const BESIDES: u64 = 64;

/// A process, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    folder: String,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of all its threads, in user and in kernel mode: to the nanosecond of those that live, in hundredths
    /// of a second of those that are gone.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub resident: u64,
}

/// More connections are wanted than files may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{connections} connections need {needed} open files, and this process may have {limit}; raise the hard limit (ulimit -Hn {needed}), or open fewer"
)]
pub struct TooFewFiles {
    /// Connections wanted.
    pub connections: u64,
    /// Files that they need, and the process besides.
    pub needed: u64,
    /// The hard limit.
    pub limit: u64,
}

impl Process {
    /// The process with this number.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self {
            folder: format!("/proc/{pid}"),
        }
    }

    /// This process.
    #[must_use]
    pub fn own() -> Self {
        Self {
            folder: "/proc/self".to_owned(),
        }
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// When there is no such process, or no `/proc`.
    pub fn usage(&self) -> io::Result<Usage> {
        let stat = std::fs::read_to_string(format!("{}/stat", self.folder))?;
        let memory = std::fs::read_to_string(format!("{}/statm", self.folder))?;
        let unreadable =
            || io::Error::new(io::ErrorKind::InvalidData, "/proc is not as Linux has it");
        let whole = cpu_ticks(&stat).ok_or_else(unreadable)? as f64
            / rustix::param::clock_ticks_per_second() as f64;
        let pages: u64 = memory
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .ok_or_else(unreadable)?;
        Ok(Usage {
            cpu: self.living()?.max(Duration::from_secs_f64(whole)),
            resident: pages * rustix::param::page_size() as u64,
        })
    }

    /// Processor time of the threads that there are.
    fn living(&self) -> io::Result<Duration> {
        let mut cpu = Duration::ZERO;
        for thread in std::fs::read_dir(format!("{}/task", self.folder))? {
            // It may end while the others are read; and not every kernel counts.
            let schedule = std::fs::read_to_string(thread?.path().join("schedstat"));
            let spent = schedule
                .ok()
                .and_then(|schedule| schedule.split(' ').next()?.parse().ok());
            cpu += Duration::from_nanos(spent.unwrap_or(0));
        }
        Ok(cpu)
    }
}

/// Raises the soft limit of open files to the hard one, if `connections` need that.
///
/// # Errors
/// [`TooFewFiles`] when the hard limit is lower than that.
pub fn allow_files(connections: u64) -> Result<(), TooFewFiles> {
    let needed = connections.saturating_add(BESIDES);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let hard = limit.maximum;
    limit.current = hard.or(Some(needed));
    // What is refused here shows itself as a connection that cannot be opened, with its own advice.
    let _ = setrlimit(Resource::Nofile, limit);
    match hard {
        Some(limit) if limit < needed => Err(TooFewFiles {
            connections,
            needed,
            limit,
        }),
        _ => Ok(()),
    }
}

/// Fields 14 and 15 of `/proc/pid/stat`, counted from behind the name, which may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

#[cfg(test)]
mod tests {
    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    #[test]
    fn work_is_seen_as_processor_time_and_memory() {
        let process = Process::own();
        let before = process.usage().unwrap();
        let room = vec![1_u8; 32 << 20];
        // What a running thread has used shows when it gives way.
        std::thread::yield_now();
        let after = process.usage().unwrap();
        assert_eq!(room.last(), Some(&1));
        assert!(after.cpu > before.cpu, "{before:?} {after:?}");
        assert!(
            after.resident > before.resident + (16 << 20),
            "{before:?} {after:?}"
        );
    }

    #[test]
    fn a_thread_that_is_gone_has_worked_all_the_same() {
        let process = Process::own();
        let before = process.usage().unwrap().cpu;
        const WORK: Duration = Duration::from_millis(200);
        let worked = std::thread::spawn(|| {
            let spent = || clock_gettime(ClockId::ThreadCPUTime);
            while Duration::try_from(spent()).unwrap() < WORK {}
        });
        worked.join().unwrap();
        // The hundredths of user and of kernel mode are rounded down.
        let spent = process.usage().unwrap().cpu - before;
        assert!(spent >= WORK * 4 / 5, "{spent:?}");
    }

    #[test]
    fn a_name_may_hold_spaces_and_brackets() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 30 12 0 0 20 0 1 0";
        assert_eq!(cpu_ticks(stat), Some(42));
    }

    #[test]
    fn nobody_has_no_usage() {
        assert!(Process::of(u32::MAX).usage().is_err());
    }

    #[test]
    fn more_files_than_allowed_is_told_with_numbers() {
        let error = allow_files(u64::MAX - BESIDES - 1);
        if let Err(error) = error {
            let text = error.to_string();
            assert!(
                text.contains(&error.limit.to_string()) && text.contains("ulimit"),
                "{text}"
            );
        }
        assert_eq!(allow_files(1), Ok(()));
    }
}

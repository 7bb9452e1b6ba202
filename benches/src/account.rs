//! What a server used, by the kernel's own books: CPU time to the nanosecond, resident memory.
//!
//! A server is a process and its children (nginx's workers).

use std::fs;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// CPU time of all threads in nanoseconds, user and system (`schedstat`, first figure). Threads that have ended are not
/// in it: no server here ends threads under load.
///
/// # Errors
///
/// When the process is gone.
pub fn cpu_time(pid: u32) -> io::Result<u64> {
    let mut total = 0;
    for process in tree(pid)? {
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread that ends meanwhile has no file any more.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            total += first_number(&text);
        }
    }
    Ok(total)
}

/// Resident memory in bytes: what is shared by several processes of the server counts once.
///
/// # Errors
///
/// When the process is gone.
pub fn resident(pid: u32) -> io::Result<u64> {
    let processes = tree(pid)?;
    let (file, field) = if processes.len() == 1 {
        ("status", "VmRSS:")
    } else {
        ("smaps_rollup", "Pss:")
    };
    let mut total = 0;
    for process in processes {
        total += kibibytes(
            &fs::read_to_string(format!("/proc/{process}/{file}"))?,
            field,
        );
    }
    Ok(total * 1024)
}

/// [`resident`], once it stands still: within 64 KiB for 600 ms, or after 10 s as it is.
///
/// # Errors
///
/// When the process is gone.
pub fn settled_resident(pid: u32) -> io::Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let (mut last, mut still) = (resident(pid)?, 0);
    while still < 3 && Instant::now() < deadline {
        sleep(Duration::from_millis(200));
        let now = resident(pid)?;
        still = if now.abs_diff(last) <= 64 * 1024 {
            still + 1
        } else {
            0
        };
        last = now;
    }
    Ok(last)
}

/// Ticks that the machine's cores were busy, with whatever it was, and ticks in all, since it was started.
///
/// # Errors
///
/// When there is no `/proc`.
pub fn busy() -> io::Result<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    // After the name: user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen.
    let ticks = line.split_whitespace().skip(1).take(8);
    let ticks: Vec<u64> = ticks.filter_map(|ticks| ticks.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Ok((all - idle, all))
}

/// Memory that the machine has to give, in bytes.
///
/// # Errors
///
/// When there is no `/proc`.
pub fn available() -> io::Result<u64> {
    Ok(kibibytes(&fs::read_to_string("/proc/meminfo")?, "MemAvailable:") * 1024)
}

fn tree(pid: u32) -> io::Result<Vec<u32>> {
    let mut processes = vec![pid];
    let mut index = 0;
    while let Some(&process) = processes.get(index) {
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
            processes.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
        index += 1;
    }
    Ok(processes)
}

fn kibibytes(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.map_or(0, first_number)
}

fn first_number(text: &str) -> u64 {
    let number = text.split_whitespace().next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_memory_show_in_the_books() {
        let pid = std::process::id();
        let (cpu, memory) = (cpu_time(pid).unwrap(), resident(pid).unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while cpu_time(pid).unwrap() < cpu + 20_000_000 {
            assert!(Instant::now() < deadline, "20 ms of work never showed");
        }
        let block = vec![1_u8; 64 << 20];
        assert!(resident(pid).unwrap() > memory + (60 << 20));
        assert!(available().unwrap() > 0);
        let (busy, all) = busy().unwrap();
        assert!(busy > 0 && busy < all);
        drop(block);
    }
}

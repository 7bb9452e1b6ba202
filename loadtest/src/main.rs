//! `wellspring-load`: puts a server of event streams under load and verifies every delivery.

mod broadcaster;
mod cli;
mod view;

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;
use wellspring_load::chat::{self, ChatComparison};
use wellspring_load::process::allow_files;
use wellspring_load::report::{Comparison, Report};
use wellspring_load::run::{Plan, RunError, run_watched};

use cli::{Arguments, Format};
use view::View;

/// Bad use, or a run that could not be made.
const UNUSABLE: u8 = 2;

/// Ended by Ctrl-C, as a shell spells it.
const INTERRUPTED: i32 = 130;

/// How many sockets a thread is told of at once, and how many while it has others to read. What was ready first is to be
/// read first, or the generator's own queue would be in its figures. The kernel's list keeps that order; tokio's queue of
/// a thread has 256 places, and what overflows it waits until the queue is empty, behind whatever became ready later:
/// of 8,000 sockets on one thread, some were read 7,600 places before their turn; so, none is more than 159.
const AT_ONCE: usize = 128;
const WHILE_BUSY: usize = 32;

fn main() -> ExitCode {
    if let Some(code) = broadcaster::serve_if_asked() {
        return code;
    }
    let word = std::env::args_os().nth(1).unwrap_or_default();
    let behind_word = std::env::args_os().skip(1);
    // No URL is called one of these words.
    match word.to_str() {
        // One thread: with several, each token wakes another one.
        Some("model") => on(Builder::new_current_thread(), cli::model::main(behind_word)),
        Some("lab") => on(Builder::new_multi_thread(), cli::lab::main(behind_word)),
        _ => on(Builder::new_multi_thread(), measured()),
    }
}

fn on(mut runtime: Builder, work: impl Future<Output = ExitCode>) -> ExitCode {
    match in_order(&mut runtime).enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            eprintln!("wellspring-load: cannot start: {error}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn in_order(runtime: &mut Builder) -> &mut Builder {
    runtime
        .max_io_events_per_tick(AT_ONCE)
        .max_io_events_per_busy_tick(WHILE_BUSY)
}

/// What the program does when it is not told another word.
async fn measured() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.calibrate {
        calibrate(&arguments).await
    } else if arguments.chat {
        converse(&arguments).await
    } else {
        load(&arguments).await
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("wellspring-load: {error}");
            ExitCode::from(UNUSABLE)
        }
    }
}

/// Makes the runs, prints their reports, and says whether all was as it should be.
async fn load(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let plans = arguments.plans()?;
    for plan in &plans {
        allow_files(plan.sockets() as u64)?;
    }
    let mut view = View::open(arguments.no_tui);
    let reports = measure(&plans, &mut view).await;
    view.close();
    let reports = reports?;
    write(arguments, &reports)?;
    let mut well = true;
    for report in &reports {
        well &= report.is_complete();
        for expectation in &arguments.expectations {
            if let Err(found) = expectation.check(report) {
                eprintln!("wellspring-load: {}: {found}", report.transport());
                well = false;
            }
        }
    }
    Ok(well)
}

/// Asks for completions, and says whether all were answered whole.
async fn converse(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let mut reports = Vec::new();
    let mut stop = pin!(async {
        let _ = tokio::signal::ctrl_c().await;
    });
    for plan in arguments.chat_plans()? {
        allow_files(plan.connections as u64)?;
        let mut stopped = false;
        let stop = async {
            stop.as_mut().await;
            stopped = true;
        };
        reports.push(chat::chat(&plan, stop).await?);
        if stopped {
            break;
        }
    }
    let comparison = ChatComparison(reports);
    let text = match arguments.output_format {
        Format::Text => comparison.to_string(),
        Format::Json => comparison.to_json() + "\n",
        Format::Csv => comparison.to_csv(),
    };
    put(arguments, &text)?;
    let wrong = arguments
        .within
        .and_then(|factor| comparison.check(factor).err())
        .unwrap_or_default();
    for line in &wrong {
        eprintln!("wellspring-load: {line}");
    }
    Ok(comparison.is_complete() && wrong.is_empty())
}

/// Measures this program itself, and says whether it saw everything.
async fn calibrate(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let calibration = arguments.calibration()?;
    allow_files(calibration.subscribers as u64)?;
    let calibrated = calibration.measure(broadcaster::start).await?;
    put(
        arguments,
        &match arguments.output_format {
            Format::Text => calibrated.to_string(),
            Format::Json => calibrated.to_json() + "\n",
            Format::Csv => calibrated.to_csv(),
        },
    )?;
    Ok(calibrated.complete)
}

/// One run after another, until one cannot be made or all are to stop.
async fn measure(plans: &[Plan], view: &mut View) -> Result<Vec<Report>, RunError> {
    let mut reports = Vec::new();
    for plan in plans {
        // Told beforehand, so that a run that hangs or is ended by hand can be repeated too.
        view.begin(plan);
        let stop = view.stop();
        let stopped = stop.clone();
        let report = run_watched(plan, stop.wait(), |moment| view.show(moment)).await;
        match report {
            Err(RunError::Stopped) if !reports.is_empty() => break,
            report => reports.push(report?),
        }
        if stopped.is_asked() {
            break;
        }
    }
    Ok(reports)
}

fn write(arguments: &Arguments, reports: &[Report]) -> Result<(), Box<dyn Error>> {
    let (text, html) = match reports {
        [report] => (
            match arguments.output_format {
                Format::Text => report.to_string(),
                Format::Json => report.to_json() + "\n",
                Format::Csv => report.to_csv(),
            },
            arguments.html.as_ref().map(|_| report.to_html()),
        ),
        reports => {
            let comparison = Comparison(reports.to_vec());
            (
                match arguments.output_format {
                    Format::Text => comparison.to_string(),
                    Format::Json => comparison.to_json() + "\n",
                    Format::Csv => comparison.to_csv(),
                },
                arguments.html.as_ref().map(|_| comparison.to_html()),
            )
        }
    };
    if let (Some(file), Some(html)) = (&arguments.html, html) {
        save(file, &html)?;
    }
    if let Some(file) = &arguments.hgrm {
        let mut all = wellspring_load::latency::Latency::new();
        for report in reports {
            all.merge(&report.latency);
        }
        save(file, &all.to_hgrm())?;
    }
    Ok(put(arguments, &text)?)
}

/// Prints a report to where it is wanted.
fn put(arguments: &Arguments, text: &str) -> Result<(), String> {
    if let Some(file) = &arguments.output {
        return save(file, text);
    }
    // Whoever reads may have read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn save(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    use super::*;

    #[test]
    fn what_was_ready_first_is_read_first() {
        const SOCKETS: usize = 2_000;
        allow_files(2 * SOCKETS as u64 + 1_000).unwrap();
        let mut runtime = Builder::new_multi_thread();
        let runtime = in_order(&mut runtime)
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (reading, read) = mpsc::channel();
        let mut far_ends = runtime.block_on(async {
            let readers = (0..SOCKETS).map(|index| {
                let (mut near, far) = UnixStream::pair().unwrap();
                let reading = reading.clone();
                tokio::spawn(async move {
                    // Twice: whoever has read once is known to be parked, or to have been told already.
                    for _ in 0..2 {
                        near.read_u8().await.unwrap();
                        reading.send(index).unwrap();
                    }
                });
                far.into_std().unwrap()
            });
            readers.collect::<Vec<_>>()
        });
        far_ends
            .iter_mut()
            .for_each(|end| end.write_all(b"x").unwrap());
        assert_eq!(read.iter().take(SOCKETS).count(), SOCKETS);
        // While its only thread is held up, all become ready.
        let (busy, is_busy) = mpsc::channel();
        let (free, is_free) = mpsc::channel::<()>();
        runtime.spawn(async move {
            busy.send(()).unwrap();
            let _ = is_free.recv_timeout(Duration::from_secs(20));
        });
        is_busy.recv().unwrap();
        far_ends
            .iter_mut()
            .for_each(|end| end.write_all(b"x").unwrap());
        free.send(()).unwrap();
        for (place, index) in read.iter().take(SOCKETS).enumerate() {
            let distance = place.abs_diff(index);
            assert!(
                distance < 2 * AT_ONCE,
                "number {index} was read at place {place}"
            );
        }
    }
}

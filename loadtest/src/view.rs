//! What is seen of a run while it goes on: a live view on a terminal, a line each second elsewhere.

mod terminal;

use std::io::IsTerminal;
use std::sync::Arc;

use tokio::sync::watch;
use wellspring_load::run::{Moment, Plan};

use crate::INTERRUPTED;
use terminal::Terminal;

/// Where a run is shown.
pub(crate) struct View {
    surface: Surface,
    stop: Stop,
}

/// The wish to end the runs in good order. Clones are the same wish.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<watch::Sender<bool>>);

enum Surface {
    Terminal(Box<Terminal>),
    Lines,
}

impl View {
    /// The live view if standard output is a terminal that can show it; lines on standard error otherwise. The first
    /// Ctrl-C asks the runs to stop, the second ends the program.
    pub(crate) fn open(lines: bool) -> Self {
        let stop = Stop(Arc::new(watch::channel(false).0));
        let surface = if lines || !std::io::stdout().is_terminal() {
            Surface::Lines
        } else {
            Terminal::open(stop.clone()).map_or(Surface::Lines, |terminal| {
                Surface::Terminal(Box::new(terminal))
            })
        };
        let asked = stop.clone();
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                asked.ask();
            }
        });
        Self { surface, stop }
    }

    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// A run is about to begin.
    pub(crate) fn begin(&mut self, plan: &Plan) {
        let text = format!(
            "{} subscribers over {} connections by {}{}, {} events at most, seed {}",
            plan.subscribers,
            plan.connections(),
            plan.target.protocol(),
            if plan.target.is_secure() {
                " over TLS"
            } else {
                ""
            },
            plan.events,
            plan.seed
        );
        match &mut self.surface {
            Surface::Terminal(terminal) => terminal.begin(plan, text),
            Surface::Lines => eprintln!("wellspring-load: {text}"),
        }
    }

    /// A second has passed.
    pub(crate) fn show(&mut self, moment: &Moment) {
        match &mut self.surface {
            Surface::Terminal(terminal) => terminal.show(moment),
            Surface::Lines => eprintln!("{}", line(moment)),
        }
    }

    /// Gives the terminal back.
    pub(crate) fn close(self) {
        if let Surface::Terminal(terminal) = self.surface {
            terminal.close();
        }
    }
}

impl Stop {
    /// Asks for the end; who asks twice does not want to wait for it.
    pub(crate) fn ask(&self) {
        if self.0.send_replace(true) {
            ratatui::restore();
            std::process::exit(INTERRUPTED);
        }
    }

    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    pub(crate) async fn wait(self) {
        // The sender is ours: it cannot be gone.
        let _ = self.0.subscribe().wait_for(|&asked| asked).await;
    }
}

fn line(moment: &Moment) -> String {
    let per_second = |count: u64| {
        if moment.lasted > 0.0 {
            count as f64 / moment.lasted
        } else {
            0.0
        }
    };
    let mut line = format!(
        "{:6.1} s  {} open  {:.0} events/s  {:.2} MB/s  p50 {}  p99 {}  max {}  own CPU {:.2}",
        moment.at,
        moment.open,
        per_second(moment.deliveries),
        per_second(moment.bytes) / 1e6,
        span(moment.p50),
        span(moment.p99),
        span(moment.max),
        moment.own_cpu
    );
    if let Some(cpu) = moment.server_cpu {
        line.push_str(&format!("  server CPU {cpu:.2}"));
    }
    line
}

fn span(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds >= 1.0 => format!("{seconds:.2} s"),
        Some(seconds) => format!("{:.2} ms", seconds * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_second_in_figures() {
        let moment = Moment {
            at: 2.0,
            lasted: 0.5,
            open: 50,
            deliveries: 1_000,
            bytes: 1_000_000,
            p50: Some(0.0015),
            p99: Some(1.25),
            own_cpu: 0.3,
            server_cpu: Some(0.7),
            ..Moment::default()
        };
        assert_eq!(
            line(&moment),
            "   2.0 s  50 open  2000 events/s  2.00 MB/s  p50 1.50 ms  p99 1.25 s  max -  own CPU 0.30  server CPU 0.70"
        );
    }
}

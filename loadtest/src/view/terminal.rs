//! The live view.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Sparkline};
use wellspring_load::run::{Moment, Plan};

use super::{Stop, span};

/// How long a key may wait to be noticed.
const KEYS: Duration = Duration::from_millis(100);

/// The terminal, drawn anew each second.
pub(super) struct Terminal {
    terminal: DefaultTerminal,
    runs: Vec<Run>,
    closed: Arc<AtomicBool>,
}

/// What has been seen of one run.
struct Run {
    transport: String,
    title: String,
    deliveries: Vec<u64>,
    /// The 99th percentiles, in microseconds.
    latency: Vec<u64>,
    last: Moment,
}

impl Terminal {
    /// Takes the terminal over, and its keys: q and Ctrl-C ask for the end.
    pub(super) fn open(stop: Stop) -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let closed = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&closed);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if let Ok(true) = event::poll(KEYS)
                    && let Ok(Event::Key(key)) = event::read()
                {
                    let interrupted = key.code == KeyCode::Char('c')
                        && key.modifiers.contains(KeyModifiers::CONTROL);
                    if interrupted || key.code == KeyCode::Char('q') {
                        stop.ask();
                    }
                }
            }
        });
        Ok(Self {
            terminal,
            runs: Vec::new(),
            closed,
        })
    }

    pub(super) fn begin(&mut self, plan: &Plan, title: String) {
        let security = if plan.target.is_secure() {
            " over TLS"
        } else {
            ""
        };
        self.runs.push(Run {
            transport: format!("{}{security}", plan.target.protocol()),
            title,
            deliveries: Vec::new(),
            latency: Vec::new(),
            last: Moment::default(),
        });
        self.draw();
    }

    pub(super) fn show(&mut self, moment: &Moment) {
        if let Some(run) = self.runs.last_mut() {
            let rate = if moment.lasted > 0.0 {
                moment.deliveries as f64 / moment.lasted
            } else {
                0.0
            };
            run.deliveries.push(rate as u64);
            run.latency.push((moment.p99.unwrap_or(0.0) * 1e6) as u64);
            run.last = moment.clone();
        }
        self.draw();
    }

    pub(super) fn close(self) {
        self.closed.store(true, Ordering::Relaxed);
        ratatui::restore();
    }

    fn draw(&mut self) {
        let runs = &self.runs;
        // A terminal that went away does not end the run.
        let _ = self.terminal.draw(|frame| draw(frame, runs));
    }
}

fn draw(frame: &mut Frame<'_>, runs: &[Run]) {
    let Some(run) = runs.last() else { return };
    let mut heights = vec![Constraint::Length(2), Constraint::Length(6)];
    heights.extend(runs.iter().map(|_| Constraint::Min(3)));
    heights.extend([Constraint::Min(3), Constraint::Length(1)]);
    let areas = Layout::vertical(heights).split(frame.area());
    frame.render_widget(Paragraph::new(run.title.as_str()).bold(), areas[0]);
    frame.render_widget(Paragraph::new(figures(&run.last)), areas[1]);
    for (run, area) in runs.iter().zip(&areas[2..]) {
        let title = format!("{}: deliveries per second", run.transport);
        frame.render_widget(
            sparkline(title, &run.deliveries, area.width, Color::Cyan),
            *area,
        );
    }
    let area = areas[2 + runs.len()];
    let title = format!(
        "{}: p99 of each second, up to {}",
        run.transport,
        span(highest(&run.latency, area.width))
    );
    frame.render_widget(
        sparkline(title, &run.latency, area.width, Color::Yellow),
        area,
    );
    frame.render_widget(
        Line::from("q or Ctrl-C ends and reports").dim(),
        areas[3 + runs.len()],
    );
}

fn figures(moment: &Moment) -> Vec<Line<'static>> {
    let per_second = |count: u64| {
        if moment.lasted > 0.0 {
            count as f64 / moment.lasted
        } else {
            0.0
        }
    };
    let mut cpu = format!("CPU       own {:.2} cores", moment.own_cpu);
    if let (Some(server), Some(memory)) = (moment.server_cpu, moment.server_memory) {
        cpu.push_str(&format!(
            ", server {server:.2} cores, {:.1} MiB",
            memory as f64 / 1024.0 / 1024.0
        ));
    }
    vec![
        Line::from(format!("time      {:.0} s", moment.at)),
        Line::from(format!("streams   {} open", moment.open)),
        Line::from(format!(
            "rate      {:.0} events/s, {:.2} MB/s",
            per_second(moment.deliveries),
            per_second(moment.bytes) / 1e6
        )),
        Line::from(format!(
            "latency   p50 {}, p99 {}, max {}",
            span(moment.p50),
            span(moment.p99),
            span(moment.max)
        )),
        Line::from(cpu),
    ]
}

/// The latest values that fit.
fn latest(values: &[u64], width: u16) -> &[u64] {
    &values[values.len().saturating_sub(usize::from(width))..]
}

fn highest(microseconds: &[u64], width: u16) -> Option<f64> {
    latest(microseconds, width)
        .iter()
        .max()
        .map(|&most| most as f64 / 1e6)
}

fn sparkline(title: String, values: &[u64], width: u16, colour: Color) -> Sparkline<'_> {
    let block = Block::default().borders(Borders::TOP).title(title);
    Sparkline::default()
        .block(block)
        .data(latest(values, width))
        .style(Style::default().fg(colour))
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;

    #[test]
    fn the_view_shows_each_run_and_the_latest_figures() {
        let run = |transport: &str| Run {
            transport: transport.to_owned(),
            title: "50 subscribers".to_owned(),
            deliveries: vec![1, 5, 3],
            latency: vec![1_000, 2_500],
            last: Moment {
                open: 42,
                lasted: 1.0,
                deliveries: 777,
                p99: Some(0.0025),
                ..Moment::default()
            },
        };
        let mut terminal = ratatui::Terminal::new(TestBackend::new(80, 24)).unwrap();
        let runs = [run("HTTP/1.1"), run("HTTP/2 over TLS")];
        terminal.draw(|frame| draw(frame, &runs)).unwrap();
        let screen = terminal.backend().to_string();
        for text in [
            "HTTP/1.1: deliveries",
            "HTTP/2 over TLS: deliveries",
            "42 open",
            "777 events/s",
            "p99 2.50 ms",
            "up to 2.50 ms",
            "▆██",
        ] {
            assert!(screen.contains(text), "{text} is missing in\n{screen}");
        }
    }

    #[test]
    fn a_small_terminal_is_no_reason_to_fail() {
        let mut terminal = ratatui::Terminal::new(TestBackend::new(5, 2)).unwrap();
        let run = Run {
            transport: "HTTP/2".to_owned(),
            title: "t".to_owned(),
            deliveries: vec![1; 500],
            latency: Vec::new(),
            last: Moment::default(),
        };
        terminal.draw(|frame| draw(frame, &[run])).unwrap();
    }
}

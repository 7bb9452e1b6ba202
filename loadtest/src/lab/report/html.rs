//! The report as a page with figures, and its first figure alone.

use super::Report;
use crate::lab::site::Transport;
use crate::lab::trial::{Trial, Wait};
use crate::report::html::{Axis, Bars, Chart, Page, Scale, Series, Shape};
use crate::target::Protocol;

impl Report {
    /// The report as one HTML file that needs nothing else.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut page = Page::new("Six connections against one");
        page.paragraph(&self.premise());
        page.chart(&self.live());
        page.chart(&self.fetches());
        page.chart(&self.first_events());
        if let Some(further) = self.further() {
            page.chart(&further);
        }
        let users = self
            .largest_crowds()
            .map(|trial| trial.users)
            .max()
            .unwrap_or(0);
        page.section(&format!(
            "What {users} users with six tabs each cost the server"
        ));
        for bars in self.costs() {
            page.bars(&bars);
        }
        for table in self.tables() {
            page.section(table.title);
            page.table(&table.header, table.rows);
        }
        page.finish()
    }

    /// How many streams live, of so many tabs: the whole story in one picture, as an SVG file.
    #[must_use]
    pub fn to_svg(&self) -> String {
        self.live().to_svg()
    }

    fn live(&self) -> Chart {
        Chart {
            title: "Streams that are live".to_owned(),
            x: tabs(),
            y: linear("live streams"),
            series: joined(self.by_transport(|trial| trial.live as f64)),
        }
    }

    fn fetches(&self) -> Chart {
        let patience = self.patience.as_secs_f64() * 1e3;
        Chart {
            title: format!(
                "What an ordinary fetch takes beside them; {patience:.0} ms stands for ever"
            ),
            x: tabs(),
            y: logarithmic("time to the answer (ms)"),
            series: self.by_transport(|trial| match trial.fetch {
                Wait::Answered(after) => after.as_secs_f64() * 1e3,
                Wait::ForEver => patience,
            }),
        }
    }

    fn first_events(&self) -> Chart {
        Chart {
            title: "Until the last of the live tabs has its first event".to_owned(),
            x: tabs(),
            y: logarithmic("time to the first event (ms)"),
            series: self.by_transport(|trial| {
                let latest = trial.first_event.iter().max();
                latest.map_or(f64::NAN, |after| after.as_secs_f64() * 1e3)
            }),
        }
    }

    /// Where HTTP/2 ends, if the sweep went on to there.
    fn further(&self) -> Option<Chart> {
        let further: Vec<_> = self
            .sweep
            .iter()
            .filter(|trial| trial.transport == Transport::Http2Tls)
            .collect();
        let most = further.iter().map(|trial| trial.tabs).max()?;
        let line = |name: &str, figure: fn(&Trial) -> f64| Series {
            name: name.to_owned(),
            points: further
                .iter()
                .map(|trial| (trial.tabs as f64, figure(trial)))
                .collect(),
            shape: Shape::Line,
        };
        (most > self.most_shared()).then(|| Chart {
            title: "HTTP/2 has an end, too".to_owned(),
            x: tabs(),
            y: linear("streams"),
            series: vec![
                line("live", |trial| trial.live as f64),
                line("waiting", |trial| trial.waiting as f64),
            ],
        })
    }

    fn costs(&self) -> Vec<Bars> {
        let bars = |title: &str, unit: &str, figure: &dyn Fn(&Trial) -> Option<f64>| Bars {
            title: title.to_owned(),
            unit: unit.to_owned(),
            bars: self
                .largest_crowds()
                .map(|trial| {
                    (
                        trial.transport.to_string(),
                        figure(trial).unwrap_or(f64::NAN),
                    )
                })
                .collect(),
        };
        vec![
            bars("Sockets", "", &|trial| Some(trial.sockets as f64)),
            bars("Memory per tab", "KiB", &|trial| {
                trial.cost.map(|cost| cost.memory_per_tab / 1024.0)
            }),
            bars("CPU to open a tab", "us", &|trial| {
                trial.cost.map(|cost| cost.opening_per_tab * 1e6)
            }),
            bars("CPU per delivered event", "us", &|trial| {
                trial.cost.map(|cost| cost.per_event * 1e6)
            }),
        ]
    }

    /// A line for each transport, over as many tabs as all of them were tried with.
    fn by_transport(&self, figure: impl Fn(&Trial) -> f64) -> Vec<Series> {
        let most = self.most_shared();
        Transport::ALL
            .into_iter()
            .map(|transport| Series {
                name: transport.to_string(),
                points: self
                    .sweep
                    .iter()
                    .filter(|trial| trial.transport == transport && trial.tabs <= most)
                    .map(|trial| (trial.tabs as f64, figure(trial)))
                    .collect(),
                shape: Shape::Line,
            })
            .filter(|series| !series.points.is_empty())
            .collect()
    }

    /// The most tabs that HTTP/1.1 was tried with; all of them when it was not.
    fn most_shared(&self) -> usize {
        let six = self
            .sweep
            .iter()
            .filter(|trial| trial.transport.protocol() == Protocol::Http1);
        six.map(|trial| trial.tabs).max().unwrap_or(usize::MAX)
    }
}

fn tabs() -> Axis {
    linear("tabs, each with an EventSource")
}

fn linear(label: &str) -> Axis {
    Axis {
        label: label.to_owned(),
        scale: Scale::Linear,
    }
}

fn logarithmic(label: &str) -> Axis {
    Axis {
        label: label.to_owned(),
        scale: Scale::Logarithmic,
    }
}

/// Lines that lie on one another become one with both names: else only the last that was drawn could be seen.
fn joined(series: Vec<Series>) -> Vec<Series> {
    let mut joined: Vec<Series> = Vec::new();
    for line in series {
        match joined.iter_mut().find(|other| other.points == line.points) {
            Some(other) => other.name = format!("{}, {}", other.name, line.name),
            None => joined.push(line),
        }
    }
    joined
}

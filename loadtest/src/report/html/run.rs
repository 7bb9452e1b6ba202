//! The page about a run, or about several side by side.

use super::{Axis, Chart, Page, Scale, Series, Shape};
use crate::report::{Comparison, Report};
use crate::run::Moment;

/// Points that a line of the page has at most: more are no longer told apart.
const POINTS: usize = 500;

/// The page in the making.
pub(in crate::report) struct RunPage<'a>(&'a [Report]);

impl<'a> RunPage<'a> {
    pub(in crate::report) fn of(reports: &'a [Report]) -> Self {
        Self(reports)
    }

    pub(in crate::report) fn to_html(&self) -> String {
        let title = match self.0 {
            [report] => format!("{} by {}", report.target, report.transport()),
            reports => format!("{} runs compared", reports.len()),
        };
        let mut page = Page::new(&title);
        for report in self.0 {
            page.verdict(report.is_complete(), &verdict(report));
        }
        page.section("Figures");
        let (header, table) = Comparison(self.0.to_vec()).table();
        let header: Vec<_> = header.iter().map(String::as_str).collect();
        page.table(&header, table);
        page.section("Latency");
        page.paragraph(
            "From the moment at which an event should have been sent until a subscriber had it.",
        );
        page.chart(&self.curve());
        page.section("Over time");
        page.chart(
            &self.while_it_lasted("Deliveries per second", "events per second", |moment| {
                (moment.lasted > 0.0).then(|| moment.deliveries as f64 / moment.lasted)
            }),
        );
        page.chart(&self.over_time(
            "Latency of each second, 99th percentile",
            "ms",
            Shape::Line,
            |moment| moment.p99.map(|seconds| seconds * 1e3),
        ));
        page.chart(
            &self.over_time("Open streams", "streams", Shape::Steps, |moment| {
                Some(moment.open as f64)
            }),
        );
        page.chart(&self.while_it_lasted(
            "Processors kept busy by the generator",
            "cores",
            |moment| Some(moment.own_cpu),
        ));
        if self
            .0
            .iter()
            .any(|report| report.costs.server_cpu.is_some())
        {
            page.chart(&self.while_it_lasted(
                "Processors kept busy by the server",
                "cores",
                |moment| moment.server_cpu,
            ));
            page.chart(
                &self.over_time("Memory of the server", "MiB", Shape::Line, |moment| {
                    moment
                        .server_memory
                        .map(|bytes| bytes as f64 / 1024.0 / 1024.0)
                }),
            );
        }
        page.section("Completeness");
        page.paragraph("Each subscriber's share of the events that it was owed, from the worst served to the best.");
        page.chart(&self.completeness());
        page.finish()
    }

    fn curve(&self) -> Chart {
        let points = |report: &Report| {
            let curve = report.latency.curve().filter(|(share, _)| *share < 1.0);
            curve
                .map(|(share, latency)| (share, latency.as_secs_f64() * 1e3))
                .collect()
        };
        Chart {
            title: "Delivery latency by percentile".to_owned(),
            x: Axis {
                label: "share of deliveries".to_owned(),
                scale: Scale::Percentile,
            },
            y: Axis {
                label: "ms".to_owned(),
                scale: Scale::Linear,
            },
            series: self.series(Shape::Line, points),
        }
    }

    fn over_time(
        &self,
        title: &str,
        unit: &str,
        shape: Shape,
        value: impl Fn(&Moment) -> Option<f64>,
    ) -> Chart {
        let points = |report: &Report| {
            let points = some(&report.seconds);
            points
                .filter_map(|moment| Some((moment.at, value(moment)?)))
                .collect()
        };
        timed(title, unit, self.series(shape, points))
    }

    /// What is an average over each second: a level from its beginning to its end.
    fn while_it_lasted(
        &self,
        title: &str,
        unit: &str,
        value: impl Fn(&Moment) -> Option<f64>,
    ) -> Chart {
        let points = |report: &Report| {
            let levels = some(&report.seconds)
                .filter_map(|moment| Some((moment.at - moment.lasted, value(moment)?)));
            let mut levels: Vec<_> = levels.collect();
            let end = report.seconds.last().map(|moment| moment.at);
            levels.extend(end.zip(levels.last().map(|&(_, level)| level)));
            levels
        };
        timed(title, unit, self.series(Shape::Steps, points))
    }

    fn completeness(&self) -> Chart {
        let points = |report: &Report| {
            let share = |expected: u64, received: u64| {
                if expected == 0 {
                    0.0
                } else {
                    received as f64 / expected as f64 * 100.0
                }
            };
            let tallies = report
                .subscribers
                .iter()
                .map(|subscriber| &subscriber.tally);
            let mut shares: Vec<_> = tallies
                .map(|tally| share(tally.expected, tally.received))
                .collect();
            shares.sort_unstable_by(f64::total_cmp);
            let every = shares.len().div_ceil(POINTS).max(1);
            let last = shares.len().saturating_sub(1);
            let chosen = (0..shares.len()).filter(|&rank| rank % every == 0 || rank == last);
            chosen.map(|rank| (rank as f64, shares[rank])).collect()
        };
        Chart {
            title: "Share of its events that each subscriber received".to_owned(),
            x: Axis {
                label: "subscribers".to_owned(),
                scale: Scale::Linear,
            },
            y: Axis {
                label: "%".to_owned(),
                scale: Scale::Linear,
            },
            series: self.series(Shape::Steps, points),
        }
    }

    fn series(&self, shape: Shape, points: impl Fn(&Report) -> Vec<(f64, f64)>) -> Vec<Series> {
        let series = |report: &Report| Series {
            name: report.transport(),
            points: points(report),
            shape,
        };
        self.0.iter().map(series).collect()
    }
}

fn timed(title: &str, unit: &str, series: Vec<Series>) -> Chart {
    let axis = |label: &str| Axis {
        label: label.to_owned(),
        scale: Scale::Linear,
    };
    Chart {
        title: title.to_owned(),
        x: axis("seconds"),
        y: axis(unit),
        series,
    }
}

/// As many seconds as are told apart.
fn some(seconds: &[Moment]) -> impl Iterator<Item = &Moment> {
    let every = seconds.len().div_ceil(POINTS).max(1);
    seconds.iter().step_by(every)
}

fn verdict(report: &Report) -> String {
    let (name, tally) = (report.transport(), report.totals().tally);
    if report.is_complete() {
        return format!(
            "{name}: {} subscribers got all {} events, once and in order.",
            report.subscribers.len(),
            report.events
        );
    }
    format!(
        "{name}: {} of {} subscribers were not served faultlessly: {} events lost, {} doubled, {} out of order, {} gaps.",
        report.faulty().count(),
        report.subscribers.len(),
        tally.lost,
        tally.duplicated,
        tally.out_of_order,
        tally.gaps
    )
}

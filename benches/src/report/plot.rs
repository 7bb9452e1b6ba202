//! The picture: a panel per case, a bar per server, as an SVG that stands by itself, by day and by night.

use std::fmt::Write;

use super::{Report, Row, digits};
use crate::case::Measure;
use crate::server::Peer;

const WIDTH: usize = 1200;
const COLUMNS: usize = 3;
const MARGIN: usize = 32;
const HEADER: usize = 96;
const PANEL: usize = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS;
const GAP: usize = 36;
/// Above a panel's first bar.
const TITLE: usize = 52;
const BAR: usize = 16;
const STEP: usize = 24;
/// Left of the bars, for the servers' names.
const NAMES: usize = 76;
/// Right of the longest bar, for its figure.
const FIGURES: usize = 52;

const STYLE: &str = "\
text { font-family: system-ui, sans-serif; fill: #1f2933 } .paper { fill: #ffffff } \
.title { font-size: 22px; font-weight: 650 } .small { font-size: 12px; fill: #66727f } \
.case { font-size: 13px; font-weight: 600 } .name, .figure { font-size: 12px } \
.rail { fill: #eef1f4 } .wellspring { fill: #0b7285 } .floor { fill: #adb5bd } .axum { fill: #e8590c } \
.node { fill: #5c940d } .nchan { fill: #9c36b5 } .ours { font-weight: 650 } \
@media (prefers-color-scheme: dark) { text { fill: #e6eaee } .paper { fill: #14181c } \
.small { fill: #93a0ad } .rail { fill: #242b32 } .wellspring { fill: #3bc9db } .floor { fill: #6c757d } }";

impl Report {
    /// An SVG of the first measure of each case; shorter bars are better.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let peers = self.peers();
        let height = TITLE + peers.len() * STEP + GAP;
        let rows = self.rows.len().div_ceil(COLUMNS);
        let total = HEADER + rows * height + MARGIN;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" role=\"img\">\n\
             <title>Wellspring and its peers</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{total}\"/>\n"
        );
        text(
            &mut svg,
            "title",
            MARGIN,
            44,
            "Wellspring beside the floor and its peers",
        );
        let about = format!("Medians; shorter is better. {}", self.machine);
        text(&mut svg, "small", MARGIN, 66, &about);
        for (index, row) in self.rows.iter().enumerate() {
            let x = MARGIN + index % COLUMNS * (PANEL + GAP);
            let y = HEADER + index / COLUMNS * height;
            row.panel(&peers, x, y, &mut svg);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Row {
    fn panel(&self, peers: &[Peer], x: usize, y: usize, svg: &mut String) {
        // A fan-out is about its last receipts.
        let measures = self.case.work.measures();
        let measure = if measures.contains(&Measure::Cpu) {
            Measure::Cpu
        } else {
            measures[measures.len() - 1]
        };
        text(svg, "case", x, y + 16, self.case.name);
        let about = format!("{} · {}", measure.title(), self.case.title);
        text(svg, "small", x, y + 34, &shorten(&about, 58));
        let figures: Vec<(Peer, Option<f64>)> = peers
            .iter()
            .map(|&peer| (peer, self.median(peer, measure)))
            .collect();
        let known = figures.iter().filter_map(|(_, figure)| *figure);
        let longest = known.fold(f64::MIN_POSITIVE, f64::max);
        let room = PANEL - NAMES - FIGURES;
        for (index, (peer, figure)) in figures.into_iter().enumerate() {
            let y = y + TITLE + index * STEP;
            let ours = if peer == Peer::Wellspring {
                " ours"
            } else {
                ""
            };
            text(svg, &format!("name{ours}"), x, y + 13, peer.name());
            let from = x + NAMES;
            bar(svg, "rail", from, y, room as f64);
            let (length, label) = match figure {
                Some(figure) => (figure / longest * room as f64, digits(figure)),
                None => (0.0, "-".to_owned()),
            };
            bar(svg, peer.name(), from, y, length);
            text(
                svg,
                &format!("figure{ours}"),
                from + room + 8,
                y + 13,
                &label,
            );
        }
    }
}

fn bar(svg: &mut String, class: &str, x: usize, y: usize, length: f64) {
    writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"3\"/>"
    )
    .expect("a String takes all");
}

fn text(svg: &mut String, class: &str, x: usize, y: usize, text: &str) {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"
    )
    .expect("a String takes all");
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

//! Figures, drawn as SVG by plotters. Text stays text: it is found by a search, and read out by a screen reader.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// In pixels of the picture; a page scales it to its own width.
const WIDTH: u32 = 860;
const HEIGHT: u32 = 340;
const BAR: u32 = 26;
const FONT: &str = "sans-serif";

/// Okabe and Ito's palette without its yellow: told apart by every kind of eye, and on white paper.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Lines over two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows, in a few words: its heading, and its name for screen readers.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines. More than six repeat their colours.
    pub series: Vec<Series>,
}

/// One direction of a chart. It reaches as far as the points do.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Quantity and unit, such as `latency (ms)`.
    pub label: String,
    /// How values become lengths.
    pub scale: Scale,
}

/// How values become lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, and from zero.
    Linear,
    /// By their logarithm; what is not above zero is left out.
    Logarithmic,
    /// Shares from 0 to 1 as HdrHistogram plots them: 90 %, 99 % and 99.9 % lie at equal distances. For the horizontal
    /// axis.
    Percentile,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right. Points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// How the points are joined.
    pub shape: Shape,
}

/// How points are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// By the shortest way.
    #[default]
    Line,
    /// By a level up to the next point, and a jump.
    Steps,
}

/// Quantities beside each other, each a bar with its figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What they show: heading, and name for screen readers.
    pub title: String,
    /// What stands behind each figure, such as `KiB`; may be empty.
    pub unit: String,
    /// Name and quantity of each.
    pub bars: Vec<(String, f64)>,
}

impl Chart {
    /// The chart as an `<svg>` element.
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg(&self.title, HEIGHT, |area| {
            let place = |scale: Scale, value: f64| match scale {
                Scale::Percentile => 1.0 / (1.0 - value.clamp(0.0, 0.999_999_9)),
                Scale::Linear | Scale::Logarithmic => value,
            };
            let drawable = |scale: Scale, value: f64| {
                value.is_finite() && (scale != Scale::Logarithmic || value > 0.0)
            };
            let lines: Vec<Vec<(f64, f64)>> = self
                .series
                .iter()
                .map(|series| {
                    let points = series
                        .points
                        .iter()
                        .filter(|(x, y)| drawable(self.x.scale, *x) && drawable(self.y.scale, *y))
                        .map(|(x, y)| (place(self.x.scale, *x), place(self.y.scale, *y)));
                    match series.shape {
                        Shape::Line => points.collect(),
                        Shape::Steps => steps(points),
                    }
                })
                .collect();
            let all = || lines.iter().flatten();
            if all().next().is_none() {
                return say(area, "nothing was measured");
            }
            let x = reach(self.x.scale, all().map(|point| point.0));
            let y = reach(self.y.scale, all().map(|point| point.1));
            let straight = |scale| scale == Scale::Linear;
            match (straight(self.x.scale), straight(self.y.scale)) {
                (true, true) => self.draw(area, x, y, &lines),
                (false, true) => self.draw(area, x.log_scale(), y, &lines),
                (true, false) => self.draw(area, x, y.log_scale(), &lines),
                (false, false) => self.draw(area, x.log_scale(), y.log_scale(), &lines),
            }
        })
    }

    fn draw<X, Y>(&self, area: &Area<'_>, x: X, y: Y, lines: &[Vec<(f64, f64)>]) -> Drawn
    where
        X: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
        Y: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
    {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(42)
            .y_label_area_size(72)
            .build_cartesian_2d(x, y)?;
        let percentile = self.x.scale == Scale::Percentile;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(225, 225, 225))
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .label_style((FONT, 16))
            .axis_desc_style((FONT, 17))
            .x_label_formatter(&|x| {
                if percentile { share(*x) } else { figure(*x) }
            })
            .y_label_formatter(&|y| figure(*y))
            .draw()?;
        for (index, (series, points)) in self.series.iter().zip(lines).enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style))?
                .label(&series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            // A single point makes no line.
            if let [point] = points[..] {
                chart.draw_series([Circle::new(point, 3, colour.filled())])?;
            }
        }
        if self.series.len() > 1 {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .background_style(WHITE.mix(0.85))
                .border_style(RGBColor(200, 200, 200))
                .label_font((FONT, 16))
                .draw()?;
        }
        Ok(())
    }
}

impl Bars {
    /// The bars as an `<svg>` element.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let rows = u32::try_from(self.bars.len()).unwrap_or(u32::MAX).max(1);
        svg(
            &self.title,
            rows.saturating_mul(BAR).saturating_add(8),
            |area| {
                if self.bars.is_empty() {
                    return say(area, "nothing was measured");
                }
                let widest = |longest: usize| i32::try_from(longest * 8).unwrap_or(300).min(300);
                let left = widest(
                    self.bars
                        .iter()
                        .map(|bar| bar.0.chars().count())
                        .max()
                        .unwrap_or(0),
                ) + 16;
                let room = f64::from(WIDTH) - f64::from(left) - 130.0;
                let most = self
                    .bars
                    .iter()
                    .map(|bar| bar.1)
                    .filter(|size| size.is_finite())
                    .fold(0.0, f64::max);
                let name = (FONT, 17)
                    .into_font()
                    .color(&BLACK)
                    .pos(Pos::new(HPos::Right, VPos::Center));
                let figures = (FONT, 17)
                    .into_font()
                    .color(&BLACK)
                    .pos(Pos::new(HPos::Left, VPos::Center));
                for (row, (label, size)) in (0i32..).zip(&self.bars) {
                    let top = row * BAR.cast_signed() + 6;
                    let middle = top + 9;
                    let share = if most > 0.0 && size.is_finite() {
                        size.max(0.0) / most
                    } else {
                        0.0
                    };
                    let end = left + (room * share) as i32;
                    area.draw(&Text::new(label.clone(), (left - 10, middle), name.clone()))?;
                    area.draw(&Rectangle::new(
                        [(left, top), (end.max(left + 1), top + 18)],
                        COLOURS[0].filled(),
                    ))?;
                    let text = if size.is_finite() {
                        format!("{} {}", figure(*size), self.unit)
                    } else {
                        "not measured".to_owned()
                    };
                    area.draw(&Text::new(text, (end + 8, middle), figures.clone()))?;
                }
                Ok(())
            },
        )
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws into an SVG of the page's width. A picture that plotters refuses is no reason to lose the report around it.
fn svg(title: &str, height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut text = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?))
    };
    let title = super::page::escaped(title);
    match drawn {
        // Named for whoever cannot see it (WAI-ARIA 1.2, role img).
        Ok(()) => text.replacen(
            "<svg ",
            &format!("<svg role=\"img\" aria-label=\"{title}\" "),
            1,
        ),
        Err(error) => format!(
            "<p>{title}: not drawn ({})</p>",
            super::page::escaped(&error.to_string())
        ),
    }
}

fn say(area: &Area<'_>, words: &str) -> Drawn {
    let style = (FONT, 18).into_font().color(&RGBColor(110, 110, 110));
    area.draw(&Text::new(words, (12, 12), style))?;
    Ok(())
}

/// As far as the values reach, and a little further where that is free.
fn reach(scale: Scale, values: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, most) = values.fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, most), value| (least.min(value), most.max(value)),
    );
    match scale {
        Scale::Linear => {
            let least = least.min(0.0);
            least..if most > least {
                most * 1.05
            } else {
                least + 1.0
            }
        }
        Scale::Logarithmic => least / 1.2..most * 1.2,
        // The last nine is a label of its own: rounding must not push it over the edge.
        Scale::Percentile => 1.0..most.max(10.0) * 1.001,
    }
}

fn steps(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut joined: Vec<(f64, f64)> = Vec::new();
    for (x, y) in points {
        if let Some(&(_, level)) = joined.last() {
            joined.push((x, level));
        }
        joined.push((x, y));
    }
    joined
}

/// A figure in as few characters as its axis needs.
fn figure(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 {
        format!("{}m", trimmed(value / 1e6, 2))
    } else if size >= 10_000.0 {
        format!("{}k", trimmed(value / 1e3, 1))
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 0.1 || size == 0.0 {
        trimmed(value, 2)
    } else {
        trimmed(value, 5)
    }
}

fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// The share whose place on a percentile axis is `x`.
fn share(x: f64) -> String {
    format!("{}%", trimmed((1.0 - 1.0 / x) * 100.0, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(label: &str, scale: Scale) -> Axis {
        Axis {
            label: label.to_owned(),
            scale,
        }
    }

    fn chart(x: Scale, y: Scale, points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "Latency & more".to_owned(),
            x: axis("share", x),
            y: axis("latency (ms)", y),
            series: vec![Series {
                name: "HTTP/2".to_owned(),
                points,
                shape: Shape::Line,
            }],
        }
    }

    /// The corners of the only line, as the picture has them.
    fn corners(svg: &str) -> Vec<(i32, i32)> {
        let line = svg
            .split("<polyline ")
            .find(|part| part.contains("#0072B2"))
            .expect("a line");
        let points = line
            .split("points=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let corner = |text: &str| {
            let (x, y) = text.split_once(',').unwrap();
            (x.parse().unwrap(), y.parse().unwrap())
        };
        points.split_whitespace().map(corner).collect()
    }

    #[test]
    fn nines_are_evenly_apart() {
        let svg = chart(
            Scale::Percentile,
            Scale::Linear,
            vec![(0.9, 1.0), (0.99, 2.0), (0.999, 3.0)],
        )
        .to_svg();
        let [first, second, third] = corners(&svg)[..] else {
            panic!("{svg}")
        };
        assert!(
            ((second.0 - first.0) - (third.0 - second.0)).abs() <= 1,
            "{svg}"
        );
        for label in ["90%", "99%", "99.9%", "latency (ms)"] {
            assert!(svg.contains(label), "{label} is missing in {svg}");
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let points = vec![
            (1.0, f64::NAN),
            (2.0, 5.0),
            (3.0, 0.0),
            (f64::INFINITY, 1.0),
            (4.0, 50.0),
        ];
        let svg = chart(Scale::Linear, Scale::Logarithmic, points).to_svg();
        assert_eq!(corners(&svg).len(), 2, "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn an_empty_chart_says_so() {
        let svg = chart(Scale::Linear, Scale::Linear, Vec::new()).to_svg();
        assert!(svg.contains("nothing was measured"), "{svg}");
        assert!(svg.contains("aria-label=\"Latency &amp; more\""), "{svg}");
    }

    #[test]
    fn steps_keep_their_level_until_the_next_point() {
        let joined = steps([(0.0, 1.0), (2.0, 5.0)].into_iter());
        assert_eq!(joined, [(0.0, 1.0), (2.0, 1.0), (2.0, 5.0)]);
    }

    #[test]
    fn bars_carry_names_and_figures() {
        let bars = Bars {
            title: "Memory".to_owned(),
            unit: "KiB".to_owned(),
            bars: vec![
                ("HTTP/1.1".to_owned(), 11.0),
                ("HTTP/2".to_owned(), 1.25),
                ("lost".to_owned(), f64::NAN),
            ],
        };
        let svg = bars.to_svg();
        for text in ["HTTP/1.1", "11 KiB", "1.25 KiB", "not measured"] {
            assert!(svg.contains(text), "{text} is missing in {svg}");
        }
    }

    #[test]
    fn figures_are_short() {
        let texts = [0.0, 0.005, 1.5, 12.345, 250.0, 12_500.0, 3_000_000.0].map(figure);
        assert_eq!(texts, ["0", "0.005", "1.5", "12.35", "250", "12.5k", "3m"]);
    }
}

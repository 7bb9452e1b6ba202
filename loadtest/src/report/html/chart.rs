//! Lines over two axes, drawn as SVG.

use std::ops::Range;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{Area, COLOURS, Drawn, FONT, WIDTH, figure, say, svg, trimmed};

/// In pixels of the picture.
const HEIGHT: u32 = 340;

/// Of the legend: the height of a row, where a row begins, and the stroke before a name.
const ROW: i32 = 24;
const LEFT: i32 = 80;
const STROKE: i32 = 22;

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

impl Chart {
    /// The chart as an `<svg>` element.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let legend = self.legend();
        let above = legend
            .iter()
            .map(|entry| entry.top + ROW)
            .max()
            .unwrap_or(0);
        svg(&self.title, HEIGHT + above.unsigned_abs(), |area| {
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
            for entry in &legend {
                entry.draw(area)?;
            }
            let (_, area) = area.split_vertically(above);
            let area = &area;
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

    /// The names of the lines, above them: within, they would hide what they name. A single line has the title's.
    fn legend(&self) -> Vec<Entry<'_>> {
        let (mut left, mut top) = (LEFT, 0);
        let mut entries = Vec::new();
        if self.series.len() == 1 {
            return entries;
        }
        for (index, series) in self.series.iter().enumerate() {
            let length = i32::try_from(series.name.chars().count()).unwrap_or(0);
            let width = STROKE + 32 + length * 8;
            if left > LEFT && left + width > WIDTH.cast_signed() {
                (left, top) = (LEFT, top + ROW);
            }
            entries.push(Entry {
                name: &series.name,
                colour: COLOURS[index % COLOURS.len()],
                left,
                top,
            });
            left += width;
        }
        entries
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
            .y_label_area_size(LEFT - 8)
            .build_cartesian_2d(x, y)?;
        let percentile = self.x.scale == Scale::Percentile;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(225, 225, 225))
            .y_labels(if self.y.scale == Scale::Linear { 10 } else { 6 })
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .label_style((FONT, 16))
            .axis_desc_style((FONT, 17))
            .x_label_formatter(&|x| {
                if percentile { share(*x) } else { figure(*x) }
            })
            .y_label_formatter(&|y| figure(*y))
            .draw()?;
        for (index, points) in lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let style = colour.stroke_width(2);
            chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
            // A single point makes no line.
            if let [point] = points[..] {
                chart.draw_series([Circle::new(point, 3, colour.filled())])?;
            }
        }
        Ok(())
    }
}

/// A line's name and the colour that it has, at its place.
struct Entry<'a> {
    name: &'a str,
    colour: RGBColor,
    left: i32,
    top: i32,
}

impl Entry<'_> {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let middle = self.top + ROW / 2;
        let stroke = [(self.left, middle), (self.left + STROKE, middle)];
        area.draw(&PathElement::new(stroke, self.colour.stroke_width(3)))?;
        let beside = Pos::new(HPos::Left, VPos::Center);
        let style = (FONT, 16).into_font().color(&BLACK).pos(beside);
        area.draw(&Text::new(
            self.name,
            (self.left + STROKE + 8, middle),
            style,
        ))?;
        Ok(())
    }
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
}

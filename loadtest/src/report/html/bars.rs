//! Quantities beside each other, drawn as SVG.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{COLOURS, FONT, WIDTH, figure, say, svg};

/// From one bar to the next, in pixels of the picture.
const BAR: u32 = 26;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}

//! What figures are drawn on and written with: plotters' SVG. Text stays text: it is found by a search, and read out by a
//! screen reader.

use plotters::coord::Shift;
use plotters::prelude::*;

/// In pixels of the picture; a page scales it to its own width.
pub(super) const WIDTH: u32 = 860;
pub(super) const FONT: &str = "sans-serif";

/// Okabe and Ito's palette without its yellow: told apart by every kind of eye, and on white paper.
pub(super) const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Where a figure is drawn.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Whether plotters took all of it.
pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws into an SVG of the page's width. A picture that plotters refuses is no reason to lose the report around it.
pub(super) fn svg(title: &str, height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut text = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        // A picture that stands alone may be shown on a dark page.
        let drawn = area.fill(&WHITE).map_err(Into::into);
        drawn
            .and_then(|()| draw(&area))
            .and_then(|()| Ok(area.present()?))
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

/// Words in place of a figure.
pub(super) fn say(area: &Area<'_>, words: &str) -> Drawn {
    let style = (FONT, 18).into_font().color(&RGBColor(110, 110, 110));
    area.draw(&Text::new(words, (12, 12), style))?;
    Ok(())
}

/// A figure in as few characters as its axis needs.
pub(super) fn figure(value: f64) -> String {
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

/// So many digits behind the point, without the noughts at their end.
pub(super) fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let texts = [0.0, 0.005, 1.5, 12.345, 250.0, 12_500.0, 3_000_000.0].map(figure);
        assert_eq!(texts, ["0", "0.005", "1.5", "12.35", "250", "12.5k", "3m"]);
    }
}

//! The page around the figures.

use super::{Bars, Chart};

/// System fonts, black on white, tables that stay whole on a printed page.
const STYLE: &str = "\
:root{color-scheme:light}\
body{font:16px/1.5 system-ui,sans-serif;color:#111;background:#fff;max-width:56rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2rem 0 .5rem;break-after:avoid}\
p{margin:.25rem 0}figure{margin:1rem 0;break-inside:avoid}figcaption{font-weight:600;margin-bottom:.25rem}\
svg{max-width:100%;height:auto}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}tr{break-inside:avoid}\
th,td{padding:.2rem .75rem .2rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #ddd}\
td,th+th{text-align:right}tbody th{white-space:nowrap}.good{color:#00643c}.bad{color:#a01c00;font-weight:600}\
@media print{body{margin:0;max-width:none;font-size:11pt}}";

/// A page in the making. Every text that is put in is escaped.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// A page that begins with `title`.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self {
            title: escaped(title),
            body: String::new(),
        }
    }

    /// Begins a section.
    pub fn section(&mut self, heading: &str) {
        self.put(&["<h2>", &escaped(heading), "</h2>\n"]);
    }

    /// A sentence or more.
    pub fn paragraph(&mut self, text: &str) {
        self.put(&["<p>", &escaped(text), "</p>\n"]);
    }

    /// A sentence that says whether all is well.
    pub fn verdict(&mut self, good: bool, text: &str) {
        let class = if good { "good" } else { "bad" };
        self.put(&["<p class=\"", class, "\">", &escaped(text), "</p>\n"]);
    }

    /// A table. The first cell of each row is its name; the other cells are figures.
    pub fn table<S: AsRef<str>>(
        &mut self,
        header: &[&str],
        rows: impl IntoIterator<Item = Vec<S>>,
    ) {
        self.body.push_str("<div class=\"wide\"><table>\n");
        if !header.is_empty() {
            self.body.push_str("<thead><tr>");
            for cell in header {
                self.put(&["<th scope=\"col\">", &escaped(cell), "</th>"]);
            }
            self.body.push_str("</tr></thead>\n");
        }
        self.body.push_str("<tbody>\n");
        for row in rows {
            self.body.push_str("<tr>");
            for (index, cell) in row.iter().enumerate() {
                let (open, close) = if index == 0 {
                    ("<th scope=\"row\">", "</th>")
                } else {
                    ("<td>", "</td>")
                };
                self.put(&[open, &unbroken(&escaped(cell.as_ref())), close]);
            }
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</tbody></table></div>\n");
    }

    /// A chart under its title.
    pub fn chart(&mut self, chart: &Chart) {
        self.figure(&chart.title, &chart.to_svg());
    }

    /// Bars under their title.
    pub fn bars(&mut self, bars: &Bars) {
        self.figure(&bars.title, &bars.to_svg());
    }

    /// The finished document.
    #[must_use]
    pub fn finish(self) -> String {
        let Self { title, body } = self;
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</html>\n"
        )
    }

    fn figure(&mut self, title: &str, svg: &str) {
        self.put(&[
            "<figure><figcaption>",
            &escaped(title),
            "</figcaption>\n",
            svg,
            "</figure>\n",
        ]);
    }

    fn put(&mut self, pieces: &[&str]) {
        self.body.extend(pieces.iter().copied());
    }
}

/// Text as it may stand between tags and in quoted attributes (WHATWG HTML, section 13.3).
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            _ => safe.push(character),
        }
    }
    safe
}

/// Text that breaks into lines nowhere beside a digit: a figure keeps its name and its unit.
fn unbroken(text: &str) -> String {
    let mut kept = String::with_capacity(text.len() + 16);
    for word in text.split_inclusive(' ') {
        let figure = word.starts_with(|first: char| first.is_ascii_digit());
        let behind_figure = kept
            .trim_end()
            .ends_with(|last: char| last.is_ascii_digit());
        if (figure || behind_figure) && kept.pop().is_some() {
            kept.push('\u{a0}');
        }
        kept.push_str(word);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_put_in_becomes_a_tag() {
        let mut page = Page::new("<script>");
        page.paragraph("a < b & \"c\"");
        page.table(&["<i>"], [vec!["<b>", "1"]]);
        let document = page.finish();
        for raw in ["<script>", "<i>", "<b>"] {
            assert!(!document.contains(raw), "{document}");
        }
        assert!(
            document.contains("a &lt; b &amp; &quot;c&quot;"),
            "{document}"
        );
    }

    #[test]
    fn a_figure_keeps_its_unit() {
        assert_eq!(
            unbroken("p50 1.5 ms, max 2 s by 3"),
            "p50\u{a0}1.5\u{a0}ms, max\u{a0}2\u{a0}s by\u{a0}3"
        );
    }

    #[test]
    fn the_document_asks_nobody_for_anything() {
        let mut page = Page::new("Run");
        page.bars(&Bars {
            title: "t".to_owned(),
            unit: String::new(),
            bars: vec![("a".to_owned(), 1.0)],
        });
        let document = page.finish();
        for word in ["src=", "href=", "url(", "@import"] {
            assert!(!document.contains(word), "{word} in {document}");
        }
    }
}

//! Several runs beside each other.

use super::{Report, RunPage};

/// Reports of runs that differ in the protocol or the server. `Display` prints them side by side.
#[derive(Clone, Debug)]
pub struct Comparison(pub Vec<Report>);

impl Comparison {
    /// Whether every run was complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.iter().all(Report::is_complete)
    }

    /// One self-contained HTML document about all runs.
    #[must_use]
    pub fn to_html(&self) -> String {
        RunPage::of(&self.0).to_html()
    }

    /// A header and rows, each with its name in front. What no report has anything to say of is left out.
    pub(super) fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut header = vec![String::new()];
        header.extend(self.0.iter().map(Report::transport));
        let mut columns: Vec<_> = self
            .0
            .iter()
            .map(|report| report.rows().into_iter())
            .collect();
        let mut table = Vec::new();
        loop {
            let cells: Vec<_> = columns.iter_mut().filter_map(Iterator::next).collect();
            let Some(name) = cells.first().map(|row| row.name) else {
                return (header, table);
            };
            if cells.iter().any(|row| row.value.is_some()) {
                let figure = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
                let mut row = vec![name.to_owned()];
                row.extend(cells.into_iter().map(|row| figure(row.value)));
                table.push(row);
            }
        }
    }
}

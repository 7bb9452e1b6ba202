//! The report for people.

use std::fmt;

use super::rows::Section;
use super::{Comparison, Report};

/// How many faulty subscribers are named.
const NAMED: usize = 5;

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} by {}", self.target, self.transport())?;
        let mut section = Section::Load;
        for row in self.rows() {
            let Some(value) = row.value else { continue };
            if row.section != section {
                writeln!(out)?;
                section = row.section;
            }
            writeln!(out, "  {:<19} {value}", row.name)?;
        }
        self.faults(out)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (header, rows) = self.table();
        for (report, name) in self.0.iter().zip(&header[1..]) {
            writeln!(out, "{name}: {}", report.target)?;
        }
        writeln!(out)?;
        let names = header[1..].to_vec();
        columns(out, &[vec![header], rows].concat())?;
        for (report, name) in self.0.iter().zip(&names) {
            if !report.is_complete() {
                writeln!(out, "\n{name}")?;
                report.faults(out)?;
            }
        }
        Ok(())
    }
}

/// Prints rows of as many cells each, one below the other.
pub(crate) fn columns(out: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let longest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let count = rows.first().map_or(0, Vec::len);
    let widths: Vec<_> = (0..count).filter_map(longest).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

impl Report {
    fn faults(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faulty().count();
        if count > 0 {
            writeln!(
                out,
                "\n{count} of {} subscribers were not served faultlessly:",
                self.subscribers.len()
            )?;
        }
        for subscriber in self.faulty().take(NAMED) {
            let tally = &subscriber.tally;
            write!(out, "  #{}: lost {}", subscriber.index, tally.lost)?;
            for range in &tally.missing {
                write!(out, " [{}..{})", range.start, range.end)?;
            }
            write!(
                out,
                ", duplicated {}, out of order {}",
                tally.duplicated, tally.out_of_order
            )?;
            write!(
                out,
                ", gaps {}, ids repeated {}",
                tally.gaps, tally.ids_repeated
            )?;
            let end = if subscriber.was_open() || subscriber.end != super::End::RunOver {
                subscriber.end.to_string()
            } else {
                "never answered".to_owned()
            };
            writeln!(out, "; {} resumes; {end}", subscriber.journey.resumes)?;
        }
        if count > NAMED {
            writeln!(out, "  and {} more", count - NAMED)?;
        }
        Ok(())
    }
}

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
        let (header, table) = self.table();
        let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
        for (width, column) in widths.iter_mut().zip(0..) {
            let longest = table.iter().map(|row| row[column].chars().count()).max();
            *width = longest.unwrap_or(0).max(*width);
        }
        for (index, report) in self.0.iter().enumerate() {
            writeln!(out, "{}: {}", header[index + 1], report.target)?;
        }
        writeln!(out)?;
        for row in std::iter::once(&header).chain(&table) {
            for (cell, width) in row.iter().zip(&widths) {
                write!(out, "{cell:<width$}  ")?;
            }
            writeln!(out)?;
        }
        for (report, name) in self.0.iter().zip(&header[1..]) {
            if !report.is_complete() {
                writeln!(out, "\n{name}")?;
                report.faults(out)?;
            }
        }
        Ok(())
    }
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

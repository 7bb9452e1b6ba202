//! A report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere; readable in print.
//!
//! The pieces know nothing of load tests: a [`Page`] is made of headings, sentences, tables and figures; a figure is a
//! [`Chart`] of lines or a list of [`Bars`], drawn as SVG.

mod bars;
mod canvas;
mod chart;
mod page;
mod run;

pub use bars::Bars;
pub use chart::{Axis, Chart, Scale, Series, Shape};
pub use page::Page;
pub(super) use run::RunPage;

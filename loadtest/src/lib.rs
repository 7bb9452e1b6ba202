//! A load generator that understands server-sent events: it holds many endless streams open and says whether each
//! subscriber got *every* event, *once*, *in order*, and how late.
//!
//! A run opens its subscribers, publishes numbered events, cuts subscribers off at random and lets them come back with
//! `Last-Event-ID`, and closes the books of each:
//!
//! ```no_run
//! use wellspring_load::cut::Cuts;
//! use wellspring_load::run::{Plan, run};
//! use wellspring_load::target::{Target, Trust};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let target = Target::parse("http://127.0.0.1:8080/topics/t", None, &Trust::Nobody)?;
//! let plan = Plan { subscribers: 100, cuts: Cuts::Times(3.try_into()?), ..Plan::new(target) };
//! let report = run(&plan).await?;
//! assert!(report.is_complete(), "{report}");
//! # Ok(())
//! # }
//! ```
//!
//! From the door inwards: [`run`] makes a plan happen; a [`publisher`] stamps and sends events; a [`subscriber`] reads
//! one stream over a connection of the `client`, cuts it where [`cut`] says so, and keeps an [`account`]; [`report`]
//! prints what came of it. The [`lab`] is an experiment of its own: what six connections cost a browser.

pub mod account;
pub mod calibrate;
pub mod chat;
mod client;
pub mod cut;
pub mod hostile;
pub mod lab;
pub mod latency;
pub mod meter;
pub mod model;
pub mod process;
pub mod publisher;
pub mod report;
pub mod run;
mod sightings;
pub mod stamp;
pub mod subscriber;
pub mod target;
mod tls;

pub use client::{ConnectError, Dialling};
pub use tls::TlsError;

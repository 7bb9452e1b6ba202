//! What Wellspring costs, beside the floor of the same run and beside its peers.
//!
//! - `cargo bench`: the pure parts. `format` is encode and decode beside a copy of the same bytes
//!   (`memcpy`); `log` is append, fan-out to parked readers, replay and resume of 1,000,000 events.
//! - `cargo run --release -p wellspring-benches --bin compare`: whole servers under one load. A [`case`] says
//!   what is done and what must be reached; [`server`] starts a server; [`driver`] starts the [`client`] that
//!   subscribes, in a process of its own; [`publisher`] publishes; [`account`] asks the kernel what the server
//!   used; [`measure`] puts these together to one run, and [`report`] many runs to a table.
//! - `cargo run --release -p wellspring-benches --example million`: 1,000,000 streams on one process.

pub mod account;
pub mod case;
pub mod client;
pub mod driver;
pub mod event;
pub mod machine;
pub mod measure;
pub mod publisher;
pub mod report;
pub mod server;

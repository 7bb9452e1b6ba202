//! The program from outside.

mod delivery;
mod ingest;
mod program;
mod refusals;
mod stream;
mod topics;
mod transport;
mod wire;

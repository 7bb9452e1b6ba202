//! The program from outside.

mod browser;
mod chat;
mod delivery;
mod ingest;
mod lifecycle;
mod openai;
mod program;
mod refusals;
mod relay;
mod stream;
mod tls;
mod topics;
mod transport;
mod upstream;
mod wire;

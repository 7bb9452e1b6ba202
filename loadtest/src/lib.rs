//! A load generator that understands server-sent events: it holds many endless streams open and says whether each
//! subscriber got *every* event, *once*, *in order*, and how late.

pub mod account;
pub mod cut;
pub mod latency;
pub mod stamp;

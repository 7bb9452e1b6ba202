//! What Wellspring costs, beside the floor of the same run: `cargo bench`.
//!
//! - `format`: encode and decode, beside a copy of the same bytes (`memcpy`), in ns per event and bytes
//!   per second.
//! - `log`: append, fan-out to 1,000 and 10,000 parked readers, replay and resume of 1,000,000 events.

//! HTTP/2 as its peers see it: `h2`'s own client, hyper's, and frames by hand.

mod burst;
mod frames;
mod playground;
mod responses;
mod streams;
mod windows;

//! The model's server, the program before it, and a network that cuts between the program and its clients.

use std::ops::Range;

use crate::program::Program;
use crate::proxy::{Cuts, Proxy};
use crate::upstream::{Portions, Speech, Upstream};

/// All of them, started.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) upstream: Upstream,
    pub(crate) program: Program,
    pub(crate) proxy: Proxy,
    pub(crate) cuts: Cuts,
}

impl Stage {
    /// With so many tokens in every answer, and connections that hold.
    pub(crate) async fn uncut(tokens: usize) -> Self {
        Self::start(tokens, 0, 1..2).await
    }

    /// With so many tokens in every answer, and so many cuts, each after so many bytes of a stream.
    pub(crate) async fn start(tokens: usize, cuts: usize, after: Range<usize>) -> Self {
        let cuts = Cuts::new(cuts, after, SEED);
        let portions = Portions {
            cuts: cuts.count(),
            planned: cuts.planned,
        };
        let upstream = Upstream::start(Speech {
            portions: Some(portions),
            ..Speech::of(tokens)
        })
        .await;
        let program = Program::start(&["--upstream", &upstream.url()]);
        let proxy = Proxy::start(program.address(false), cuts.clone()).await;
        Self {
            upstream,
            program,
            proxy,
            cuts,
        }
    }
}

/// Another one cuts elsewhere.
const SEED: u64 = 5;

//! The model's server, the program before it, and a network that cuts between the program and its clients.

use std::ops::Range;

use http::StatusCode;
use serde_json::Value;

use crate::program::Program;
use crate::proxy::{Cuts, Proxy};
use crate::transport::{Transport, Whole, get};
use crate::upstream::{Portions, Speech, Upstream};

/// All of them, started.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) upstream: Upstream,
    pub(crate) program: Program,
    pub(crate) proxy: Proxy,
    pub(crate) cuts: Cuts,
}

/// A run's state, as `GET /v1/runs/{id}` has it.
pub(crate) async fn run(program: &Program, id: &str) -> Value {
    let answer = Whole::of(program, Transport::Http1, get(&format!("/v1/runs/{id}"))).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

impl Stage {
    /// With so many tokens in every answer, and so many cuts, each after so many bytes of a stream.
    pub(crate) async fn start(tokens: usize, cuts: usize, after: Range<usize>) -> Self {
        Self::with(tokens, Cuts::new(cuts, after, SEED)).await
    }

    /// The same, and no cut between the last line of an event and the blank one that ends it.
    pub(crate) async fn within_lines(tokens: usize, cuts: usize, after: Range<usize>) -> Self {
        Self::with(tokens, Cuts::new(cuts, after, SEED).within_lines()).await
    }

    async fn with(tokens: usize, cuts: Cuts) -> Self {
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

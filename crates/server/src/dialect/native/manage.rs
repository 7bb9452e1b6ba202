//! What is asked of a run that is there: how it is, that it end, that it be forgotten.

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;
use wellspring::query;

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::dialect::Opening;
use crate::problem::Problem;
use crate::run::{Outline, Run};
use crate::runs::Owner;

/// Some of somebody's runs, the newest first.
#[derive(Debug, Serialize)]
struct Listed {
    runs: Vec<Outline>,
    /// What `after` is to be for the next ones; none at the end.
    next: Option<String>,
}

/// How many runs a page has, and may have.
const PAGE: usize = 20;
const LONGEST_PAGE: usize = 100;

/// `GET /v1/runs/{run}`
pub(super) fn describe(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move { with_run(&call, |run| answer::json(StatusCode::OK, &run.report())) })
}

/// `POST /v1/runs/{run}/cancel`: whatever state it is in, the answer is the run.
pub(super) fn cancel(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        with_run(&call, |run| {
            run.cancel();
            answer::json(StatusCode::OK, &run.report())
        })
    })
}

/// `DELETE /v1/runs/{run}`: its readers are told that it was cancelled, if it was open.
pub(super) fn delete(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        with_run(&call, |run| {
            run.cancel();
            call.runs().forget(run.id());
            answer::empty(StatusCode::NO_CONTENT)
        })
    })
}

/// `GET /v1/runs?limit=&after=`: those that were begun with this request's `Authorization`.
pub(super) fn list(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        match page(&call) {
            Ok(listed) => answer::json(StatusCode::OK, &listed),
            Err(problem) => unauthorized(problem),
        }
    })
}

fn with_run(call: &Call<'_>, answer: impl FnOnce(&Arc<Run>) -> Answer) -> Answer {
    let id = call.params.first().map_or("", String::as_str);
    match call.runs().find(id) {
        Some(run) => answer(&run),
        None => Problem::no_run().into_answer(),
    }
}

fn page(call: &Call<'_>) -> Result<Listed, Problem> {
    let owner = Owner::of(call.request).ok_or_else(|| {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "runs are listed by the key that they were begun with, in Authorization or x-api-key",
        )
    })?;
    let limit = match query(call.request, "limit") {
        Some(limit) => limit
            .parse()
            .ok()
            .filter(|limit| (1..=LONGEST_PAGE).contains(limit))
            .ok_or_else(|| Problem::bad_request("limit is a number from 1 to 100"))?,
        None => PAGE,
    };
    let after = query(call.request, "after")
        .map(|after| after.parse())
        .transpose()
        .map_err(|_| Problem::bad_request("after is the `next` of the page before"))?;
    let page = call.runs().of(owner, after, limit);
    Ok(Listed {
        runs: page.runs.iter().map(|run| run.outline()).collect(),
        next: page.next.map(|next| next.to_string()),
    })
}

/// Who is told 401 is told how to do better (RFC 9110, section 15.5.2).
fn unauthorized(problem: Problem) -> Answer {
    let mut answer = problem.into_answer();
    if answer.status() == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    answer
}

//! The response object, which stands in the first events and the last one, and by itself in answers.

use serde_json::{Value, json};

use crate::dialect::Head;
use crate::dialect::usage::Usage;
use crate::run::{Ending, Summary};

/// A run's finish reasons, which are those of chat completions, for which a response is incomplete; and
/// what they are called here.
pub(super) const INCOMPLETE: [(&str, &str); 2] = [
    ("length", "max_output_tokens"),
    ("content_filter", "content_filter"),
];

/// What we call a run's response, where no upstream has given it a name.
pub(super) fn id(run: &str) -> String {
    format!("resp_{run}")
}

/// The run of a response that we named.
pub(super) fn run_of(id: &str) -> Option<&str> {
    id.strip_prefix("resp_")
}

/// A response that nothing was said in yet.
pub(super) fn begin(head: &Head) -> Value {
    json!({
        "id": id(&head.id),
        "object": "response",
        "created_at": head.created,
        "status": "in_progress",
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "model": head.model,
        "output": [],
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "temperature": null,
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "usage": null,
    })
}

/// Enters in a response how it ended, and gives the type of the event that tells so.
pub(super) fn end(response: &mut Value, ending: &Ending) -> &'static str {
    match ending {
        Ending::Done(summary) => {
            response["usage"] = summary.usage.as_ref().map(usage).unwrap_or_default();
            if let Some(reason) = incomplete_reason(summary) {
                response["status"] = json!("incomplete");
                response["incomplete_details"] = json!({ "reason": reason });
                return "response.incomplete";
            }
            response["status"] = json!("completed");
            "response.completed"
        }
        // It has no event of its own, and must not be taken for whole.
        Ending::Cancelled => {
            response["status"] = json!("cancelled");
            "response.failed"
        }
        Ending::Failed { .. } | Ending::Expired => {
            response["status"] = json!("failed");
            response["error"] = json!({ "code": "server_error", "message": ending.message() });
            "response.failed"
        }
    }
}

fn incomplete_reason(summary: &Summary) -> Option<&'static str> {
    let reason = summary.finish_reason.as_deref()?;
    let known = INCOMPLETE.iter().find(|(ours, _)| *ours == reason);
    known.map(|(_, theirs)| *theirs)
}

fn usage(counts: &Value) -> Value {
    let usage = Usage::read(counts);
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": { "cached_tokens": usage.cached },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.total(),
    })
}

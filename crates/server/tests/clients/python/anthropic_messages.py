"""Streams one message with Anthropic's package; prints what it got as JSON.

Usage: anthropic_messages.py '{"base": URL, "model": NAME, "key": TEXT}'

The package does not resume a message. With a key, a request whose stream broke is made again with the same
Idempotency-Key, and answered from the start: what the broken one said must be how the whole begins.
"""

import json
import sys

import anthropic
import httpx2

ATTEMPTS = 10


def main():
    arguments = json.loads(sys.argv[1])
    key = arguments.get("key")
    told = {"errors": [], "resumes": 0}
    with anthropic.Anthropic(base_url=arguments["base"], api_key="unused", max_retries=0, timeout=45) as client:
        parts = []
        for _ in range(ATTEMPTS):
            broken, parts = parts, []
            try:
                stream(client, arguments["model"], key, parts, told)
            except (anthropic.APIError, httpx2.HTTPError) as error:
                if key is None:
                    told["errors"].append(repr(error))
                    break
                told["resumes"] += 1
            else:
                if not "".join(parts).startswith("".join(broken)):
                    told["errors"].append(f"another answer: {broken}")
                break
    told |= {"text": "".join(parts), "deltas": len(parts)}
    print(json.dumps(told))


def stream(client, model, key, parts, told):
    with client.messages.stream(
        model=model,
        messages=[{"role": "user", "content": "Count."}],
        max_tokens=1000,
        extra_headers={"Idempotency-Key": key} if key else {},
    ) as stream:
        told["run"] = stream.response.headers.get("x-run-id")
        parts.extend(stream.text_stream)
        message = stream.get_final_message()
    told["reason"], told["tokens"] = message.stop_reason, message.usage.output_tokens


main()

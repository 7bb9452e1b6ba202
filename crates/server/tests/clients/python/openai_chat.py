"""Streams one chat with OpenAI's package; prints what it got as JSON.

Usage: openai_chat.py '{"base": URL, "model": NAME, "key": TEXT}'

The package does not resume a chat. With a key, a request whose stream broke is made again with the same
Idempotency-Key, and answered from the start: what the broken one said must be how the whole begins.
"""

import json
import sys

import httpx2
import openai

ATTEMPTS = 10


def main():
    arguments = json.loads(sys.argv[1])
    key = arguments.get("key")
    told = {"errors": [], "resumes": 0}
    with openai.OpenAI(base_url=arguments["base"], api_key="unused", max_retries=0, timeout=45) as client:
        parts = []
        for _ in range(ATTEMPTS):
            broken, parts = parts, []
            try:
                stream(client, arguments["model"], key, parts, told)
            except (openai.APIError, httpx2.HTTPError) as error:
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
    with client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Count."}],
        stream=True,
        stream_options={"include_usage": True},
        extra_headers={"Idempotency-Key": key} if key else {},
    ) as chunks:
        told["run"] = chunks.response.headers.get("x-run-id")
        for chunk in chunks:
            if chunk.usage is not None:
                told["tokens"] = chunk.usage.completion_tokens
            for choice in chunk.choices:
                if choice.delta.content:
                    parts.append(choice.delta.content)
                told["reason"] = choice.finish_reason or told.get("reason")


main()

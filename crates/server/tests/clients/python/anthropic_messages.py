"""Streams one message with Anthropic's package; prints what it got as JSON.

Usage: anthropic_messages.py '{"base": URL, "model": NAME, "key": TEXT}'
"""

import anthropic
import httpx2

from asking import ask


def stream(arguments, headers, parts, told):
    with (
        anthropic.Anthropic(base_url=arguments["base"], api_key="unused", max_retries=0, timeout=45) as client,
        client.messages.stream(
            model=arguments["model"],
            messages=[{"role": "user", "content": "Count."}],
            max_tokens=1000,
            extra_headers=headers,
        ) as events,
    ):
        parts.extend(events.text_stream)
        message = events.get_final_message()
    told["reason"], told["tokens"] = message.stop_reason, message.usage.output_tokens


ask(stream, broken_by=(anthropic.APIError, httpx2.HTTPError))

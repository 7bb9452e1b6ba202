"""Streams one chat with OpenAI's package; prints what it got as JSON.

Usage: openai_chat.py '{"base": URL, "model": NAME, "key": TEXT}'
"""

import httpx2
import openai

from asking import ask


def stream(arguments, headers, parts, told):
    with (
        openai.OpenAI(base_url=arguments["base"], api_key="unused", max_retries=0, timeout=45) as client,
        client.chat.completions.create(
            model=arguments["model"],
            messages=[{"role": "user", "content": "Count."}],
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=headers,
        ) as chunks,
    ):
        for chunk in chunks:
            if chunk.usage is not None:
                told["tokens"] = chunk.usage.completion_tokens
            for choice in chunk.choices:
                if choice.delta.content:
                    parts.append(choice.delta.content)
                told["reason"] = choice.finish_reason or told.get("reason")


ask(stream, broken_by=(openai.APIError, httpx2.HTTPError))

"""Streams chats with OpenAI's own package, as an application does; prints what it got as JSON.

Usage: openai_demo.py '{"base": URL}'
"""

import json
import sys

import openai


def stream(client, **options):
    """One streamed answer: its text, its last finish reason, its token counts."""
    text, reason, usage = [], None, None
    with client.chat.completions.create(
        model="wellspring-demo",
        messages=[{"role": "user", "content": "What is a spring?"}],
        max_tokens=40,
        stream=True,
        **options,
    ) as chunks:
        for chunk in chunks:
            if chunk.usage is not None:
                usage = chunk.usage.model_dump(exclude_unset=True)
            for choice in chunk.choices:
                text.append(choice.delta.content or "")
                reason = choice.finish_reason or reason
        run = chunks.response.headers["x-run-id"]
    return {"text": "".join(text), "pieces": len(text), "reason": reason, "usage": usage, "run": run}


def break_off(client):
    """Leaves an answer in the middle, as a closed tab does."""
    text = []
    with client.chat.completions.create(
        model="wellspring-demo",
        messages=[{"role": "user", "content": "What is a spring?"}],
        max_tokens=60,
        stream=True,
    ) as chunks:
        for chunk in chunks:
            if chunk.choices[0].delta.content:
                text.append(chunk.choices[0].delta.content)
            if len(text) == 6:
                break
        run = chunks.response.headers["x-run-id"]
    return {"text": "".join(text), "run": run}


def refused(client):
    """What the package makes of a request that cannot be."""
    try:
        client.chat.completions.create(model="wellspring-demo", messages=[], stream=True)
    except openai.BadRequestError as error:
        return {"status": error.status_code, "message": error.message}
    return None


def whole(client):
    """One answer in one piece."""
    answer = client.chat.completions.create(
        model="wellspring-demo",
        messages=[{"role": "user", "content": "What is a spring?"}],
        max_tokens=40,
    )
    return {"text": answer.choices[0].message.content, "total": answer.usage.total_tokens}


def main():
    base = json.loads(sys.argv[1])["base"]
    with openai.OpenAI(base_url=base, api_key="unused", max_retries=0) as client:
        print(
            json.dumps(
                {
                    "version": openai.__version__,
                    "models": [model.id for model in client.models.list()],
                    "plain": stream(client),
                    "counted": stream(client, stream_options={"include_usage": True}),
                    "broken_off": break_off(client),
                    "refused": refused(client),
                    "whole": whole(client),
                }
            )
        )


main()

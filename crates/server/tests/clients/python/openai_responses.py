"""Streams one response with OpenAI's package; after a break it retrieves the rest of it. Prints what it got as JSON.

Usage: openai_responses.py '{"base": URL, "model": NAME}'
"""

import json
import sys

import httpx2
import openai

ATTEMPTS = 10


def main():
    arguments = json.loads(sys.argv[1])
    with openai.OpenAI(base_url=arguments["base"], api_key="unused", max_retries=0, timeout=45) as client:
        heard = Heard()
        for _ in range(ATTEMPTS):
            try:
                heard.listen(begin(client, arguments["model"]) if heard.id is None else resume(client, heard))
            except (openai.APIError, httpx2.HTTPError) as error:
                if heard.id is None:
                    heard.errors.append(repr(error))
                    break
                heard.resumes += 1
            else:
                break
    print(json.dumps(heard.told()))


def begin(client, model):
    return client.responses.create(model=model, input="Count.", stream=True, background=True)


def resume(client, heard):
    return client.responses.retrieve(heard.id, stream=True, starting_after=heard.last)


class Heard:
    """What came so far."""

    def __init__(self):
        self.id, self.last = None, -1
        self.parts, self.errors, self.resumes = [], [], 0
        self.status, self.whole = None, None

    def listen(self, events):
        with events:
            for event in events:
                if event.sequence_number != self.last + 1:
                    self.errors.append(f"{event.sequence_number} after {self.last}")
                self.last = event.sequence_number
                if event.type == "response.created":
                    self.id = event.response.id
                elif event.type == "response.output_text.delta":
                    self.parts.append(event.delta)
                elif event.type in ("response.completed", "response.failed", "response.incomplete"):
                    self.status, self.whole = event.response.status, event.response.output_text
                    if event.response.error is not None:
                        self.errors.append(event.response.error.message)
                elif event.type == "error":
                    self.errors.append(event.message)

    def told(self):
        return {
            "text": "".join(self.parts),
            "deltas": len(self.parts),
            "resumes": self.resumes,
            "errors": self.errors,
            "status": self.status,
            "whole": self.whole,
        }


main()

"""What a client saw, printed as one line of JSON for the test that started it."""

import json
import os
import sys

MODEL = os.environ.get("MODEL", "fast")
PROMPT = "What is the weather in Oslo?"
QUESTION = [{"role": "user", "content": PROMPT}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]

# A client that hangs up does so after this many chunks with text.
ENOUGH = 2


class Seen:
    """Collects one answer, whole or chunk by chunk."""

    def __init__(self):
        self.text = ""
        self.reasoning = ""
        self.calls = {}
        self.finish_reason = None
        self.usage = None
        self.usage_members = 0
        self.chunks = 0
        self.text_chunks = 0
        self.models = set()
        self.request_id = None
        self.error = None

    def headers(self, headers):
        self.request_id = headers.get("x-request-id")

    def chunk(self, chunk):
        """Adds one chunk; true once the client has had enough of a long answer."""
        self.chunks += 1
        self.models.add(chunk.model)
        if "usage" in chunk.model_fields_set:
            self.usage_members += 1
        self._usage(chunk.usage)
        for choice in chunk.choices:
            self.finish_reason = choice.finish_reason or self.finish_reason
            self.reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            if choice.delta.content:
                self.text += choice.delta.content
                self.text_chunks += 1
            for call in choice.delta.tool_calls or []:
                self._call(call.index, call.id, call.function.name, call.function.arguments)
        return self.text_chunks >= ENOUGH

    def answer(self, answer):
        choice = answer.choices[0]
        self.text = choice.message.content or ""
        self.reasoning = getattr(choice.message, "reasoning_content", None) or ""
        self.finish_reason = choice.finish_reason
        self.models.add(answer.model)
        self._usage(answer.usage)
        for index, call in enumerate(choice.message.tool_calls or []):
            self._call(index, call.id, call.function.name, call.function.arguments)

    def fail(self, error):
        """Keeps what an SDK's exception says."""
        response = getattr(error, "response", None)
        retry_after = None
        if response is not None:
            self.headers(response.headers)
            retry_after = response.headers.get("retry-after")
        self.error = {
            "class": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "code": getattr(error, "code", None),
            "message": str(getattr(error, "message", error)),
            "retry_after": retry_after,
        }

    def _usage(self, usage):
        if usage is not None:
            self.usage = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}

    def _call(self, index, call_id, name, arguments):
        call = self.calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        call["id"] += call_id or ""
        call["name"] += name or ""
        call["arguments"] += arguments or ""

    def as_dict(self):
        return {
            "text": self.text,
            "reasoning": self.reasoning,
            "tool_calls": [self.calls[i] for i in sorted(self.calls)],
            "finish_reason": self.finish_reason,
            "usage": self.usage,
            "usage_members": self.usage_members,
            "chunks": self.chunks,
            "models": sorted(self.models),
            "request_id": self.request_id,
            "error": self.error,
        }

    def report(self):
        report(self.as_dict())


def report(what):
    """Prints a report and stays alive until standard input ends, so that a closed
    connection is the SDK's doing and not that of a process that left."""
    print(json.dumps(what), flush=True)
    sys.stdin.read()

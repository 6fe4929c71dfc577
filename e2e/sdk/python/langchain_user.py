"""LangChain's ChatOpenAI as somebody's application uses it: one scenario for each run."""

import json
import os
import sys

import openai
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from report import ENOUGH, MODEL, Seen

seen = Seen()


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def chat():
    # LangChain hides the response headers, so the id is one that the client chose.
    seen.request_id = os.environ["REQUEST_ID"]
    return ChatOpenAI(
        model=MODEL,
        max_retries=0,
        stream_usage=True,
        base_url=os.environ["OPENAI_BASE_URL"],
        default_headers={"X-Request-Id": seen.request_id},
    )


def read(runnable):
    whole = None
    for part in runnable.stream("What is the weather in Oslo?"):
        seen.chunks += 1
        whole = part if whole is None else whole + part
    seen.text = str(whole.text)
    seen.finish_reason = whole.response_metadata.get("finish_reason")
    for index, call in enumerate(whole.tool_calls):
        seen.calls[index] = {"id": call["id"], "name": call["name"], "arguments": json.dumps(call["args"])}
    if whole.usage_metadata:
        seen.usage = {
            "prompt_tokens": whole.usage_metadata["input_tokens"],
            "completion_tokens": whole.usage_metadata["output_tokens"],
        }


def abort():
    """Closes the generator with answers still to come."""
    parts = chat().stream("What is the weather in Oslo?")
    for part in parts:
        seen.chunks += 1
        seen.text_chunks += bool(part.content)
        if seen.text_chunks >= ENOUGH:
            break
    parts.close()


SCENARIOS = {
    "stream": lambda: read(chat()),
    "stream_tools": lambda: read(chat().bind_tools([get_weather])),
    "abort": abort,
}

try:
    SCENARIOS[sys.argv[1]]()
except openai.OpenAIError as error:
    seen.fail(error)
seen.report()

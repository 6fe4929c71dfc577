"""LangChain's ChatOpenAI on models of every dialect. It knows nothing of reasoning_content
and extra_content and drops them."""

import json

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from report import ENOUGH
from rounds import play


class Weather(BaseModel):
    """What the weather is."""

    city: str
    rain: bool


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def chat(seen, **options):
    return ChatOpenAI(model=seen.model, max_retries=0, stream_usage=True, use_responses_api=False, **options)


def question(seen):
    return [SystemMessage("Be brief."), HumanMessage(seen.prompt)]


def read(seen, runnable, messages):
    whole = None
    for part in runnable.stream(messages):
        seen.chunks += 1
        seen.text += part.text
        whole = part if whole is None else whole + part
    finish(seen, whole)
    return whole


def finish(seen, message):
    seen.finish_reason = message.response_metadata["finish_reason"]
    seen.models.add(message.response_metadata["model_name"])
    usage = message.usage_metadata
    seen.usage = {"prompt_tokens": usage["input_tokens"], "completion_tokens": usage["output_tokens"]}


def text(seen):
    read(seen, chat(seen), question(seen))


def text_whole(seen):
    message = chat(seen).invoke(question(seen))
    seen.text = message.text
    finish(seen, message)


def think(seen):
    read(seen, chat(seen, reasoning_effort="low"), question(seen))


def busy(seen):
    text(seen)


def broken(seen):
    text(seen)


def abort(seen):
    """Closes the generator with answers still to come."""
    parts = chat(seen).stream(question(seen))
    for part in parts:
        seen.text += part.text
        seen.text_chunks += bool(part.text)
        if seen.text_chunks >= ENOUGH:
            break
    parts.close()


def schema(seen):
    seen.form = chat(seen).with_structured_output(Weather, method="json_schema").invoke(question(seen)).model_dump()


def converse(seen, ask):
    """Two turns, the first with calls of the tool."""
    messages = question(seen)
    message = ask(messages)
    messages.append(message)
    for index, call in enumerate(message.tool_calls):
        seen.calls[index] = {"id": call["id"], "name": call["name"], "arguments": json.dumps(call["args"])}
        messages.append(get_weather.invoke(call))
    seen.carried = "extra_content" in json.dumps(message.model_dump(), default=str)
    return ask(messages)


def tools(seen):
    runnable = chat(seen, reasoning_effort="low").bind_tools([get_weather])
    converse(seen, lambda messages: read(seen, runnable, messages))


def tools_whole(seen):
    runnable = chat(seen, reasoning_effort="low").bind_tools([get_weather])
    message = converse(seen, runnable.invoke)
    seen.text = message.text
    finish(seen, message)


play([text, text_whole, think, tools, tools_whole, schema, abort, busy, broken])

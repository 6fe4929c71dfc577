"""The openai package on models of every dialect."""

import json

import openai
from pydantic import BaseModel

from report import ENOUGH
from rounds import play

client = openai.OpenAI(max_retries=0)


class Weather(BaseModel):
    city: str
    rain: bool


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city.",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]


def question(seen):
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": seen.prompt}]


def ask(seen, **options):
    raw = client.chat.completions.with_raw_response.create(model=seen.model, messages=question(seen), **options)
    seen.headers(raw.headers)
    return raw.parse()


def read(seen, **options):
    for chunk in ask(seen, stream=True, stream_options={"include_usage": True}, **options):
        seen.chunk(chunk)


def text(seen):
    read(seen)


def text_whole(seen):
    seen.answer(ask(seen))


def think(seen):
    read(seen, reasoning_effort="low")


def think_whole(seen):
    seen.answer(ask(seen, reasoning_effort="low"))


def busy(seen):
    read(seen)


def broken(seen):
    read(seen)


def abort(seen):
    stream = ask(seen, stream=True)
    for chunk in stream:
        if seen.chunk(chunk):
            break
    assert seen.text_chunks == ENOUGH
    stream.close()


def schema(seen):
    """An answer that the SDK turns into an object of a class."""
    answer = client.chat.completions.parse(model=seen.model, messages=question(seen), response_format=Weather)
    seen.answer(answer)
    seen.form = answer.choices[0].message.parsed.model_dump()


def schema_stream(seen):
    """The same from a stream."""
    with client.chat.completions.stream(
        model=seen.model, messages=question(seen), response_format=Weather
    ) as stream:
        for event in stream:
            if event.type == "chunk":
                seen.chunk(event.chunk)
        seen.form = stream.get_final_completion().choices[0].message.parsed.model_dump()


def results(message):
    """The results of the calls of a message, in the order in which they were asked for."""
    return [
        {"role": "tool", "tool_call_id": call.id, "content": "rain in " + json.loads(call.function.arguments)["city"]}
        for call in message.tool_calls
    ]


def notice_carried(seen, message):
    """Whether the message shows what the provider wants back."""
    holders = [message, *message.tool_calls]
    seen.carried = any("extra_content" in (holder.model_extra or {}) for holder in holders)


def tools(seen):
    """Two turns of streams; the message goes back as the dictionary that it dumps to."""
    messages = question(seen)
    with client.chat.completions.stream(
        model=seen.model, messages=messages, tools=TOOLS, reasoning_effort="low"
    ) as stream:
        for event in stream:
            if event.type == "chunk":
                seen.chunk(event.chunk)
        message = stream.get_final_completion().choices[0].message
    notice_carried(seen, message)
    messages += [message.model_dump(), *results(message)]
    stream = client.chat.completions.create(
        model=seen.model, messages=messages, tools=TOOLS, reasoning_effort="low", stream=True
    )
    for chunk in stream:
        seen.chunk(chunk)


def tools_whole(seen):
    """Two turns of whole answers; the message goes back as the object that it is."""
    messages = question(seen)
    options = {"model": seen.model, "messages": messages, "tools": TOOLS, "reasoning_effort": "low"}
    message = client.chat.completions.create(**options).choices[0].message
    notice_carried(seen, message)
    for index, call in enumerate(message.tool_calls):
        seen.calls[index] = {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
    messages += [message, *results(message)]
    answer = client.chat.completions.create(**options)
    seen.text, seen.finish_reason = answer.choices[0].message.content, answer.choices[0].finish_reason


play([text, text_whole, think, think_whole, tools, tools_whole, schema, schema_stream, abort, busy, broken])

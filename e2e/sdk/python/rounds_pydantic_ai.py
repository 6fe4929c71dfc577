"""pydantic-ai's agents on models of every dialect."""

import asyncio

import openai
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.messages import ModelResponse, ThinkingPart, ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.providers.openai import OpenAIProvider

from report import ENOUGH
from rounds import play_async

provider = OpenAIProvider(openai_client=openai.AsyncOpenAI(max_retries=0))


class Weather(BaseModel):
    """What the weather is."""

    city: str
    rain: bool


def agent(seen, **options):
    return Agent(OpenAIChatModel(seen.model, provider=provider), instructions="Be brief.", **options)


def thinking():
    return OpenAIChatModelSettings(openai_reasoning_effort="low")


async def read(seen, asked, **options):
    async with asked.run_stream(seen.prompt, **options) as result:
        async for part in result.stream_text(delta=True, debounce_by=None):
            seen.text += part
            seen.chunks += 1
    finish(seen, result)


def finish(seen, result):
    seen.usage = {"prompt_tokens": result.usage.input_tokens, "completion_tokens": result.usage.output_tokens}
    for message in result.all_messages():
        if not isinstance(message, ModelResponse):
            continue
        seen.finish_reason = message.finish_reason
        seen.models.add(message.model_name)
        for part in message.parts:
            if isinstance(part, ThinkingPart):
                seen.reasoning += part.content
            if isinstance(part, ToolCallPart):
                seen.carried |= "extra_content" in (part.provider_details or {})
                seen.calls[len(seen.calls)] = {
                    "id": part.tool_call_id,
                    "name": part.tool_name,
                    "arguments": part.args_as_json_str(),
                }


async def text(seen):
    await read(seen, agent(seen))


async def text_whole(seen):
    result = await agent(seen).run(seen.prompt)
    seen.text = result.output
    finish(seen, result)


async def think(seen):
    await read(seen, agent(seen), model_settings=thinking())


async def think_whole(seen):
    result = await agent(seen).run(seen.prompt, model_settings=thinking())
    seen.text = result.output
    finish(seen, result)


async def busy(seen):
    await read(seen, agent(seen))


async def broken(seen):
    await read(seen, agent(seen))


async def abort(seen):
    """Cancels the task that reads, as a web framework does when its own caller leaves."""
    enough = asyncio.Event()

    async def reading():
        async with agent(seen).run_stream(seen.prompt) as result:
            async for part in result.stream_text(delta=True, debounce_by=None):
                seen.text += part
                seen.text_chunks += 1
                if seen.text_chunks >= ENOUGH:
                    enough.set()

    task = asyncio.create_task(reading())
    await enough.wait()
    task.cancel()
    await asyncio.wait([task])


async def schema(seen):
    result = await agent(seen, output_type=NativeOutput(Weather)).run(seen.prompt)
    seen.form = result.output.model_dump()


def with_tool(seen):
    asked = agent(seen)

    @asked.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"rain in {city}"

    return asked


async def tools(seen):
    await read(seen, with_tool(seen), model_settings=thinking())


async def tools_whole(seen):
    result = await with_tool(seen).run(seen.prompt, model_settings=thinking())
    seen.text = result.output
    finish(seen, result)


asyncio.run(play_async([text, text_whole, think, think_whole, tools, tools_whole, schema, abort, busy, broken]))

"""A pydantic-ai agent with one tool, as somebody's application runs it."""

import asyncio
import os

import openai
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from report import MODEL, Seen

seen = Seen()


async def main():
    seen.request_id = os.environ["REQUEST_ID"]
    client = openai.AsyncOpenAI(max_retries=0, default_headers={"X-Request-Id": seen.request_id})
    agent = Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client)))

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        seen.calls[len(seen.calls)] = {"id": "", "name": "get_weather", "arguments": city}
        return f"rain in {city}"

    async with agent.run_stream("What is the weather in Oslo?") as result:
        async for text in result.stream_text(delta=True, debounce_by=None):
            seen.text += text
            seen.chunks += 1
    seen.usage = {"prompt_tokens": result.usage.input_tokens, "completion_tokens": result.usage.output_tokens}
    await asyncio.to_thread(seen.report)


asyncio.run(main())

"""The openai package with its asyncio client: one scenario for each run."""

import asyncio
import sys

import openai

from report import MODEL, QUESTION, TOOLS, Seen

seen = Seen()


async def ask(client, **options):
    raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION, **options)
    seen.headers(raw.headers)
    return raw.parse()


async def answer(client):
    seen.answer(await ask(client))


async def read(client, **options):
    async for chunk in await ask(client, stream=True, **options):
        seen.chunk(chunk)


async def abort(client):
    """Cancels the task that reads, as a web framework does when its own caller leaves."""
    enough = asyncio.Event()

    async def reading():
        async with await ask(client, stream=True) as stream:
            async for chunk in stream:
                if seen.chunk(chunk):
                    enough.set()

    task = asyncio.create_task(reading())
    await enough.wait()
    await cancelled(task)


async def abort_leaving(client):
    """Leaves the loop and the block that holds the stream."""
    async with await ask(client, stream=True) as stream:
        async for chunk in stream:
            if seen.chunk(chunk):
                break


async def abort_waiting(client):
    """Cancels the task before anything has come."""
    task = asyncio.create_task(ask(client))
    # The test says when the upstream has the request.
    await asyncio.to_thread(sys.stdin.readline)
    await cancelled(task)


async def cancelled(task):
    task.cancel()
    try:
        await task
    except asyncio.CancelledError as error:
        seen.fail(error)


SCENARIOS = {
    "answer": answer,
    "stream": read,
    "stream_usage": lambda client: read(client, stream_options={"include_usage": True}),
    "stream_tools": lambda client: read(client, tools=TOOLS),
    "abort": abort,
    "abort_leaving": abort_leaving,
    "abort_waiting": abort_waiting,
}


async def main():
    async with openai.AsyncOpenAI(max_retries=0) as client:
        try:
            await SCENARIOS[sys.argv[1]](client)
        except openai.OpenAIError as error:
            seen.fail(error)
        await asyncio.to_thread(seen.report)


asyncio.run(main())

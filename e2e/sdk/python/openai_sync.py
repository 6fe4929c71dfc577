"""The openai package with its blocking client: one scenario for each run."""

import sys

import openai

from report import MODEL, QUESTION, TOOLS, Seen

client = openai.OpenAI(max_retries=0)
seen = Seen()


def ask(**options):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION, **options)
    seen.headers(raw.headers)
    return raw.parse()


def answer():
    seen.answer(ask())


def read(**options):
    for chunk in ask(stream=True, **options):
        seen.chunk(chunk)


def abort():
    """Closes the stream with answers still to come."""
    stream = ask(stream=True)
    for chunk in stream:
        if seen.chunk(chunk):
            stream.close()
            return


def abort_leaving():
    """Leaves the loop and the with block that holds the stream."""
    with ask(stream=True) as stream:
        for chunk in stream:
            if seen.chunk(chunk):
                break


def abort_waiting():
    """Loses patience before anything has come."""
    ask(timeout=3.0)


def models():
    seen.models.update(model.id for model in client.models.list())


SCENARIOS = {
    "answer": answer,
    "answer_tools": lambda: seen.answer(ask(tools=TOOLS)),
    "stream": read,
    "stream_usage": lambda: read(stream_options={"include_usage": True}),
    "stream_tools": lambda: read(tools=TOOLS),
    "abort": abort,
    "abort_leaving": abort_leaving,
    "abort_waiting": abort_waiting,
    "models": models,
}

try:
    SCENARIOS[sys.argv[1]]()
except openai.OpenAIError as error:
    seen.fail(error)
seen.report()

"""The vendors' own clients, each at a provider of its dialect: whether the providers of
the tests speak as the vendors do."""

import json
import os

from report import PROMPT, report

KEY = os.environ["UPSTREAM_KEY"]
PROVIDERS = json.loads(os.environ["PROVIDERS"])  # name: {"url", "model"}
QUESTION = f"[tools] {PROMPT}"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
DESCRIPTION = "The weather in a city."


def anthropic(url, model, stream):
    import anthropic

    return messages(anthropic.Anthropic(api_key=KEY, base_url=url, max_retries=0), model, stream)


def anthropic_on_bedrock(url, model, stream):
    import anthropic

    client = anthropic.AnthropicBedrock(api_key=KEY, base_url=url, aws_region="eu-central-1", max_retries=0)
    return messages(client, model, stream)


def messages(client, model, stream):
    body = {
        "model": model,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": QUESTION}],
        "tools": [{"name": "get_weather", "description": DESCRIPTION, "input_schema": CITY}],
    }
    if not stream:
        return claude(client.messages.create(**body).model_dump())
    with client.messages.stream(**body) as events:
        return claude(events.get_final_message().model_dump())


def claude(message):
    blocks = message["content"]
    return {
        "reasoning": "".join(b["thinking"] for b in blocks if b["type"] == "thinking"),
        "signature": "".join(b["signature"] for b in blocks if b["type"] == "thinking"),
        "calls": [[b["name"], b["input"]] for b in blocks if b["type"] == "tool_use"],
        "usage": [message["usage"]["input_tokens"], message["usage"]["output_tokens"]],
        "end": message["stop_reason"],
    }


def bedrock_client(url):
    """A client that sends its key without TLS, which botocore would not do by itself."""
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config

    client = botocore.session.Session().create_client(
        "bedrock-runtime", region_name="eu-central-1", endpoint_url=url, config=Config(signature_version=UNSIGNED)
    )

    def authorize(request, **_):
        request.headers["Authorization"] = f"Bearer {KEY}"

    client.meta.events.register("before-send.bedrock-runtime", authorize)
    return client


def bedrock(url, model, stream):
    options = {
        "modelId": model,
        "messages": [{"role": "user", "content": [{"text": QUESTION}]}],
        "toolConfig": {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": CITY}}}]},
    }
    if stream:
        return converse_stream(bedrock_client(url).converse_stream(**options)["stream"])
    answer = bedrock_client(url).converse(**options)
    blocks = answer["output"]["message"]["content"]
    thought = [b["reasoningContent"]["reasoningText"] for b in blocks if "reasoningContent" in b]
    return {
        "reasoning": "".join(t["text"] for t in thought),
        "signature": "".join(t["signature"] for t in thought),
        "calls": [[b["toolUse"]["name"], b["toolUse"]["input"]] for b in blocks if "toolUse" in b],
        "usage": [answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]],
        "end": answer["stopReason"],
    }


def converse_stream(events):
    seen = {"reasoning": "", "signature": "", "calls": []}
    for event in events:
        start = event.get("contentBlockStart", {}).get("start", {})
        delta = event.get("contentBlockDelta", {}).get("delta", {})
        if "toolUse" in start:
            seen["calls"].append([start["toolUse"]["name"], ""])
        if "toolUse" in delta:
            seen["calls"][-1][1] += delta["toolUse"]["input"]
        seen["reasoning"] += delta.get("reasoningContent", {}).get("text", "")
        seen["signature"] += delta.get("reasoningContent", {}).get("signature", "")
        if "messageStop" in event:
            seen["end"] = event["messageStop"]["stopReason"]
        if "metadata" in event:
            usage = event["metadata"]["usage"]
            seen["usage"] = [usage["inputTokens"], usage["outputTokens"]]
    seen["calls"] = [[name, json.loads(arguments)] for name, arguments in seen["calls"]]
    return seen


def gemini(url, model, stream):
    import base64

    from google import genai
    from google.genai import types

    client = genai.Client(api_key=KEY, http_options={"base_url": url, "api_version": "v1beta"})
    declaration = types.FunctionDeclaration(name="get_weather", parameters_json_schema=CITY)
    options = {
        "model": model,
        "contents": QUESTION,
        "config": {
            "tools": [types.Tool(function_declarations=[declaration])],
            "automatic_function_calling": {"disable": True},
        },
    }
    models = client.models
    answers = list(models.generate_content_stream(**options)) if stream else [models.generate_content(**options)]
    parts = [part for answer in answers for part in answer.candidates[0].content.parts]
    usage = answers[-1].usage_metadata
    return {
        "reasoning": "".join(p.text for p in parts if p.thought),
        "signature": "".join(base64.b64encode(p.thought_signature).decode() for p in parts if p.thought_signature),
        "calls": [[p.function_call.name, p.function_call.args] for p in parts if p.function_call],
        "usage": [usage.prompt_token_count, usage.candidates_token_count],
        "end": answers[-1].candidates[0].finish_reason.value,
    }


def cohere(url, model, stream):
    import cohere

    client = cohere.ClientV2(api_key=KEY, base_url=url)
    options = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}],
    }
    if stream:
        return cohere_stream(client.chat_stream(**options))
    answer = client.chat(**options)
    return {
        "reasoning": "".join(part.thinking for part in answer.message.content if part.type == "thinking"),
        "calls": [[c.function.name, json.loads(c.function.arguments)] for c in answer.message.tool_calls],
        "usage": [answer.usage.tokens.input_tokens, answer.usage.tokens.output_tokens],
        "end": answer.finish_reason,
    }


def cohere_stream(events):
    seen = {"reasoning": "", "calls": []}
    for event in events:
        if event.type == "content-delta":
            seen["reasoning"] += event.delta.message.content.thinking or ""
        if event.type == "tool-call-start":
            seen["calls"].append([event.delta.message.tool_calls.function.name, ""])
        if event.type == "tool-call-delta":
            seen["calls"][-1][1] += event.delta.message.tool_calls.function.arguments
        if event.type == "message-end":
            seen["end"] = event.delta.finish_reason
            seen["usage"] = [event.delta.usage.tokens.input_tokens, event.delta.usage.tokens.output_tokens]
    seen["calls"] = [[name, json.loads(arguments)] for name, arguments in seen["calls"]]
    return seen


def ollama(url, model, stream):
    import ollama

    client = ollama.Client(host=url, headers={"Authorization": f"Bearer {KEY}"})
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
    options = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "tools": [tool], "think": True}
    answers = list(client.chat(**options, stream=True)) if stream else [client.chat(**options)]
    calls = [call.function for answer in answers for call in answer.message.tool_calls or []]
    return {
        "reasoning": "".join(answer.message.thinking or "" for answer in answers),
        "calls": [[call.name, dict(call.arguments)] for call in calls],
        "usage": [answers[-1].prompt_eval_count, answers[-1].eval_count],
        "end": answers[-1].done_reason,
    }


CLIENTS = [anthropic, anthropic_on_bedrock, gemini, cohere, ollama, bedrock]

report(
    [
        {"name": client.__name__, "stream": stream} | client(**PROVIDERS[client.__name__], stream=stream)
        for client in CLIENTS
        for stream in (True, False)
    ]
)

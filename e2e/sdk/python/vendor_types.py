"""Says of requests, one as JSON on each line of standard input, whether the vendor's own
SDK for Python would have made them, too."""

import base64
import functools
import inspect
import json
import os
import re
import sys
import typing
from urllib.parse import unquote, urlsplit

from shapes import Shapes


def openai_chat(request):
    """Messages that were made elsewhere are passed on with what they carry."""
    from openai.types import chat
    from openai.types.chat import completion_create_params as declared

    body = request["body"]
    streams = body.get("stream") is True
    kind = declared.CompletionCreateParamsStreaming if streams else declared.CompletionCreateParamsNonStreaming
    message, call = chat.ChatCompletionAssistantMessageParam, chat.ChatCompletionMessageFunctionToolCallParam
    return Shapes(extra={message: ["reasoning_content", "extra_content"], call: ["extra_content"]}).complaints(body, kind)


def anthropic_messages(request):
    """The last SDK for the version 2023-06-01 of the API, which older models need, does
    not declare sampling any more. The API has it."""
    from anthropic.types import message_create_params as declared

    body = request["body"]
    streams = body.get("stream") is True
    kind = declared.MessageCreateParamsStreaming if streams else declared.MessageCreateParamsNonStreaming
    return Shapes(extra={kind: ["temperature", "top_p", "top_k"]}).complaints(body, kind)


def anthropic_on_vertex(request):
    """What the SDK sends there is a request to Messages whose model has moved into the
    path."""
    from anthropic.lib.vertex._client import DEFAULT_VERSION

    body = dict(request["body"])
    path = re.fullmatch(VERTEX + r"anthropic/models/([^/:]+):(rawPredict|streamRawPredict)", request["target"])
    if path is None:
        return [f"the path is {request['target']}"]
    if body.pop("anthropic_version", None) != DEFAULT_VERSION:
        return ["anthropic_version is missing"]
    if body.get("stream", False) != (path[2] == "streamRawPredict"):
        return ["the path and the body differ about streaming"]
    return anthropic_messages({"body": body | {"model": unquote(path[1])}})


VERTEX = "/v1/projects/weather/locations/europe-west1/publishers/"


def anthropic_on_bedrock(request):
    """What the SDK sends there is a request to Messages whose model and stream have moved
    into the path."""
    from anthropic.lib.bedrock._client import DEFAULT_VERSION

    body = dict(request["body"])
    path = re.fullmatch(r"/model/([^/]+)/(invoke|invoke-with-response-stream)", request["target"])
    if path is None:
        return [f"the path is {request['target']}"]
    if body.pop("anthropic_version", None) != DEFAULT_VERSION:
        return ["anthropic_version is missing"]
    if "model" in body or "stream" in body:
        return ["model and stream belong in the path"]
    body["model"], body["stream"] = unquote(path[1]), path[2] != "invoke"
    return anthropic_messages({"body": body})


def gemini(request):
    from google.genai import models

    path = re.fullmatch(r"/v1beta/(models/[^:]+):(generateContent|streamGenerateContent\?alt=sse)", request["target"])
    return gemini_again(request, path, google_client(vertexai=False), models._GenerateContentParameters_to_mldev)


def gemini_on_vertex(request):
    from google.genai import models

    path = re.fullmatch(
        "/v1/projects/weather/locations/europe-west1/(publishers/google/models/[^:]+):"
        r"(generateContent|streamGenerateContent\?alt=sse)",
        request["target"],
    )
    return gemini_again(request, path, google_client(vertexai=True), models._GenerateContentParameters_to_vertex)


@functools.cache
def google_client(vertexai):
    from google import genai

    return genai.Client(vertexai=vertexai, api_key="none")._api_client


def gemini_again(request, path, client, write):
    """The SDK must read the request, and write the same again."""
    from google.genai import types as declared

    if path is None:
        return [f"the path is {request['target']}"]
    body, model = request["body"], unquote(path[1])
    settings = {k: v for k, v in body.items() if k not in ("contents", "generationConfig")}
    parameters = declared._GenerateContentParameters.model_validate(
        {"model": model, "contents": body["contents"], "config": settings | body.get("generationConfig", {})}
    )
    again = dumped(write(client, parameters))
    if again.pop("_url")["model"] != model:
        return ["the path names another model"]
    if not again.get("generationConfig"):
        again.pop("generationConfig", None)
    return differences(body, again)


def dumped(value):
    """The JSON of a value with models in it. The SDK itself writes their members with
    underscores, which the API takes as well."""
    if isinstance(value, dict):
        return {name: dumped(member) for name, member in value.items()}
    if isinstance(value, list):
        return [dumped(element) for element in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.model_dump(mode="json", by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value


# The SDK writes the order in which it has the properties of a schema anyway.
ADDED = {"propertyOrdering", "property_ordering"}


def differences(one, other, path=""):
    """Where two values differ, but for the two alphabets of base64 and the case of words."""
    if isinstance(one, dict) and isinstance(other, dict):
        one, other = ({k: v for k, v in value.items() if k not in ADDED} for value in (one, other))
        return [
            w for k in one.keys() | other.keys() for w in differences(one.get(k), other.get(k), f"{path}.{k}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [w for i in range(len(one)) for w in differences(one[i], other[i], f"{path}[{i}]")]
    if isinstance(one, str) and isinstance(other, str):
        same = normal(one) == normal(other)
    else:
        same = one == other
    return [] if same else [f"{path}: the SDK would have written {other!r} for {one!r}"]


def normal(text):
    return text.replace("-", "+").replace("_", "/").lower()


def cohere(request):
    from cohere.v2.client import V2Client

    body = dict(request["body"])
    if not isinstance(body.get("stream"), bool):
        return ["stream is missing"]
    method = V2Client.chat_stream if body.pop("stream") else V2Client.chat
    hints = typing.get_type_hints(method, include_extras=True)
    hints = {name: hints[name] for name in inspect.signature(method).parameters if name not in ("self", "request_options")}
    shapes = Shapes()
    wrong = [f".{name}: missing" for name in ("model", "messages") if name not in body]
    for name, value in body.items():
        wrong += shapes.complaints(value, hints[name], f".{name}") if name in hints else [f".{name}: no such member"]
    return wrong


def ollama(request):
    """The SDK lags behind the server: of schemas it declares what it makes from the
    signatures of functions, of pictures what it turns into text, and of calls no ids."""
    from ollama import _types as declared

    shapes = Shapes(
        free=[declared.Tool.Function.Parameters, declared.Image],
        extra={declared.Message: ["tool_call_id"], declared.Message.ToolCall: ["id"]},
    )
    wrong = shapes.complaints(request["body"], declared.ChatRequest)
    for message in request["body"]["messages"]:
        for image in message.get("images", ()):
            base64.b64decode(image, validate=True)
    return wrong


@functools.cache
def bedrock_runtime():
    import botocore.session

    return botocore.session.Session().get_service_model("bedrock-runtime")


def bedrock(request):
    """botocore must accept the request, and write the same again."""
    from botocore.serialize import create_serializer
    from botocore.validate import ParamValidator

    path = re.fullmatch(r"/model/([^/]+)/(converse|converse-stream)", request["target"])
    if path is None:
        return [f"the path is {request['target']}"]
    operation = bedrock_runtime().operation_model("Converse" if path[2] == "converse" else "ConverseStream")
    parameters = {"modelId": unquote(path[1]), **with_bytes(request["body"], operation.input_shape)}
    report = ParamValidator().validate(parameters, operation.input_shape)
    if report.has_errors():
        return [report.generate_report()]
    again = create_serializer("rest-json").serialize_to_request(parameters, operation)
    wrong = differences(request["body"], json.loads(again["body"]))
    if again["url_path"] != request["target"]:
        wrong.append(f"the SDK would have asked {again['url_path']} rather than {request['target']}")
    return wrong


def with_bytes(value, shape):
    """The value with bytes for the base64 of blobs."""
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "structure" and isinstance(value, dict) and not getattr(shape, "is_document_type", False):
        return {k: with_bytes(v, shape.members[k]) if k in shape.members else v for k, v in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [with_bytes(v, shape.member) for v in value]
    return value


def aws_signature(request):
    """botocore must come to the same signature."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    fields = {name: ", ".join(values) for name, values in request["fields"].items()}
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d+)/([\w-]+)/bedrock/aws4_request, "
        r"SignedHeaders=([\w;-]+), Signature=(\w+)",
        fields.get("Authorization", ""),
    )
    if found is None:
        return ["the request is not signed"]
    key, _, region, signed, signature = found.groups()
    again = AWSRequest(
        method=request["method"],
        url=f"http://{fields['Host']}{request['target']}",
        data=request["raw_body"],
        headers={name: value for name, value in fields.items() if name.lower() in signed.split(";")},
    )
    again.context["timestamp"] = fields["X-Amz-Date"]
    auth = SigV4Auth(Credentials(key, os.environ["AWS_SECRET_ACCESS_KEY"]), "bedrock", region)
    if not {"host", "x-amz-date", "x-amz-security-token"} <= set(signed.split(";")):
        return [f"only {signed} is signed"]
    expected = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    return [] if signature == expected else [f"the signature is {signature} rather than {expected}"]


CHECKS = {
    "aws_signature": aws_signature,
    "openai": openai_chat,
    "anthropic": anthropic_messages,
    "anthropic_on_bedrock": anthropic_on_bedrock,
    "anthropic_on_vertex": anthropic_on_vertex,
    "gemini": gemini,
    "gemini_on_vertex": gemini_on_vertex,
    "cohere": cohere,
    "ollama": ollama,
    "bedrock": bedrock,
}


def check(request):
    try:
        return CHECKS[request["check"]](request)
    except Exception as error:  # a refusal of the SDK
        return [f"{type(error).__name__}: {error}"]


for line in sys.stdin:
    print(json.dumps(check(json.loads(line))), flush=True)

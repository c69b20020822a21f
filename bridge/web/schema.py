"""The OpenAPI document: what may be sent and what comes back, written from the same models that check it.

Nothing here checks a request. The routes name the parts; the parts themselves are made when somebody first asks for the
document, so that a start does not pay for them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from bridge.errors import ERROR_CODES

Schema = dict[str, Any]

_WHY: Final[dict[int, str]] = {
    400: "What was sent is no JSON object, or no multipart body.",
    401: "The token is missing or wrong (`unauthorized`).",
    403: "The Host, the Origin or a path is refused (`forbidden`).",
    404: "There is no such job (`unknown_job`) or no such file (`source_not_found`).",
    409: "The request is well formed and refused all the same; `code` and `hint` say why and what to do.",
    413: "What was sent is too large (`too_large`).",
    422: "A key or a value is wrong (`bad_request`); the message names each one.",
    500: "A defect of clipbridge's own (`internal`).",
    507: "The disk is full (`disk_full`).",
}


def ref(name: str) -> Schema:
    """A pointer to one of the document's parts."""
    return {"$ref": f"#/components/schemas/{name}"}


def reply(status: int, name: str, description: str) -> dict[int | str, Schema]:
    """The good answer of a route: JSON of the part called `name`."""
    return {status: {"description": description, "content": {"application/json": {"schema": ref(name)}}}}


def refusals(*statuses: int) -> dict[int | str, Schema]:
    """The refusals of a route: those named, and those that every route has."""
    shape = {"application/json": {"schema": ref("Refusal")}}
    return {
        status: {"description": _WHY[status], "content": shape} for status in sorted({401, 403, 422, 500, *statuses})
    }


def json_of(schema: Schema, description: str, *, required: bool = True) -> Schema:
    """The `openapi_extra` of a route whose body is JSON."""
    return {
        "requestBody": {
            "description": description,
            "required": required,
            "content": {"application/json": {"schema": schema}},
        }
    }


AUDIO: Final[dict[int | str, Schema]] = {
    200: {
        "description": "The file.",
        "content": {"audio/wav": {"schema": {"type": "string", "contentMediaType": "audio/wav"}}},
    }
}
EVENTS: Final[dict[int | str, Schema]] = {
    200: {
        "description": "Server-sent events: `id` a number, `event` always `job`, `data` the job as one line of JSON.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
SUBMIT: Final[Schema] = {
    "requestBody": {
        "description": "A request; or a request and its audio, which then has no source of its own.",
        "required": True,
        "content": {
            "application/json": {"schema": ref("Request")},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["audio"],
                    "properties": {
                        "request": ref("RequestWithAudio"),
                        "audio": {
                            "type": "string",
                            "format": "binary",
                            "description": "One audio file; its name names the take.",
                        },
                    },
                },
                "encoding": {"request": {"contentType": "application/json"}},
            },
        },
    }
}


def describe(app: FastAPI) -> Schema:
    """The whole document of an app, from its routes and the parts below."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version=app.openapi_version,
        description=app.description,
        routes=app.routes,
    )
    parts = document.setdefault("components", {})
    parts["schemas"] = _parts()
    parts["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "The `token` of `daemon.json` in the home folder."}
    }
    document["security"] = [{"token": []}]
    return document


def _parts() -> dict[str, Schema]:
    from pydantic.json_schema import models_json_schema

    from bridge.job import Job
    from bridge.request import Request

    _, made = models_json_schema(
        [(Request, "validation"), (Job, "validation")], ref_template="#/components/schemas/{model}"
    )
    parts: dict[str, Schema] = made["$defs"]
    request = parts["Request"]
    job = _shown(parts["Job"], _example())
    job["properties"]["request"] = ref("ResolvedRequest")
    return {
        "Request": _request(request),
        "RequestWithAudio": _request_with_audio(request),
        "ResolvedRequest": _shown(request, list(request["properties"])),
        "Job": job | {"description": "A job, as every interface shows it."},
        "Call": _shown(parts["Call"], _example()["calls"][0]),
        "Take": _shown(parts["Take"], _example()["takes"][0]),
        "Held": parts["Held"],
        "Problem": _shown(parts["Problem"], list(parts["Problem"]["properties"])),
        "Extend": parts["Extend"],
        "Span": _span(parts["Span"]),
        **_OURS,
    }


def _example() -> dict[str, Any]:
    """A job as it is shown, to see which keys are."""
    from bridge.job import Call, Job, Take
    from bridge.request import Request

    take = Take(
        path="/take.wav", take=1, seed=1, frames=1, samplerate=48_000, channels=2, subtype="PCM_24", placed=True
    )
    job = Job(
        id="0",
        created_at="",
        updated_at="",
        trigger="http",
        request=Request(source="/clip.wav"),
        provider="dsp",
        calls=(Call(take=1),),
        takes=(take,),
    )
    return job.public()


def _shown(schema: Schema, names: Iterable[str]) -> Schema:
    """The schema of something that is handed out: the keys that are shown, each of them always there."""
    properties = {
        name: {key: value for key, value in schema["properties"][name].items() if key != "default"} for name in names
    }
    return {**schema, "properties": properties, "required": list(properties)}


def _request(schema: Schema) -> Schema:
    """A request in JSON: with a source, or with words and a duration alone."""
    schema = _with_paths(schema)
    nothing = {"type": "null"}
    schema["anyOf"] = [
        {"required": ["source"], "properties": {"source": {"type": "string"}, "duration": nothing}},
        {
            "required": ["duration"],
            "properties": {
                "source": nothing,
                "duration": {"type": "number"},
                **dict.fromkeys(("region", "mask", "extend"), nothing),
            },
        },
    ]
    return schema


def _request_with_audio(schema: Schema) -> Schema:
    schema = _with_paths(schema)
    for key in ("source", "duration"):
        schema["properties"][key] = {"type": "null", "description": "The audio in the other part is the source."}
    return schema


def _with_paths(schema: Schema) -> Schema:
    schema = copy.deepcopy(schema)
    for key in ("source", "deliver_to"):
        schema["properties"][key] = {
            "anyOf": [{"type": "string", "pattern": "^(/|[A-Za-z]:[/\\\\]|\\\\\\\\)"}, {"type": "null"}],
            "default": None,
            "description": "An absolute path.",
        }
    return schema


def _span(schema: Schema) -> Schema:
    """A span in seconds, or one in whole frames."""
    schema = copy.deepcopy(schema)
    frames = {"type": "integer"}
    schema["anyOf"] = [
        {"properties": {"unit": {"const": "seconds"}}},
        {"properties": {"unit": {"const": "frames"}, "start": frames, "end": frames}},
    ]
    return schema


def _object(description: str, properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "description": description, "properties": properties, "required": list(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_TEXT: Final[Schema] = {"type": "string"}
_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_ID_OR_NULL: Final[Schema] = {"type": ["integer", "null"]}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_USD: Final[Schema] = {"type": "number", "minimum": 0}
_YES_OR_NO: Final[Schema] = {"type": "boolean"}

_OURS: Final[dict[str, Schema]] = {
    "Refusal": _object(
        "Every answer that is no good answer.",
        {
            "error": _object(
                "What happened, what to do, and whether it cost money.",
                {
                    "code": {"type": "string", "enum": list(ERROR_CODES)},
                    "message": _TEXT,
                    "hint": _TEXT,
                    "charged": {"type": "string", "enum": ["no", "yes", "unknown"]},
                },
            )
        },
    ),
    "JobPage": _object(
        "Jobs, newest first; `next` is the `before` of the following page, null at the end.",
        {"jobs": _list(ref("Job")), "next": _TEXT_OR_NULL},
    ),
    "Health": _object(
        "That the daemon lives. `starting` until every port listens.",
        {
            "version": _TEXT,
            "pid": _COUNT,
            "home": _TEXT,
            "started_at": _TEXT_OR_NULL,
            "state": {"type": "string", "enum": ["starting", "ok"]},
        },
    ),
    "Price": _object(
        "What the requests would cost, by whom, and which of them would be refused.",
        {
            "requests": _list(
                _object(
                    "One request; `client_id` as it was given, `why_not` the providers that `auto` passed over.",
                    {
                        "client_id": {},
                        "provider": _TEXT_OR_NULL,
                        "model": _TEXT_OR_NULL,
                        "calls": _COUNT,
                        "estimated_usd": _USD,
                        "why_not": {"type": "object", "additionalProperties": _TEXT},
                        "error": {"anyOf": [ref("Problem"), {"type": "null"}]},
                    },
                )
            ),
            "estimated_usd": _USD,
        },
    ),
    "LedgerPage": _object(
        "What was charged, newest first; `next` is the `before` of the following page, null at the end.",
        {
            "entries": _list(
                _object(
                    "One charge; `usd` is null where nobody knows how much.",
                    {
                        "id": _COUNT,
                        "at": _TEXT,
                        "job_id": _TEXT,
                        "take": _COUNT,
                        "piece": _COUNT,
                        "provider": _TEXT,
                        "model": _TEXT_OR_NULL,
                        "preset": _TEXT_OR_NULL,
                        "usd": {"type": ["number", "null"]},
                    },
                )
            ),
            "next": _ID_OR_NULL,
        },
    ),
    "ProviderList": _object(
        "Every provider, in the order in which `auto` tries them.",
        {
            "providers": _list(
                _object(
                    "One provider: whether it is ready, why not, and its models' limits and prices.",
                    {"name": _TEXT, "ready": _YES_OR_NO, "why_not": _TEXT_OR_NULL, "models": _list({"type": "object"})},
                )
            )
        },
    ),
    "PresetList": _object(
        "Every preset by name; `broken` has the error of each one that cannot be read.",
        {
            "presets": _list(
                _object(
                    "One preset: its most asked-for values, and in `values` all that it gives itself.",
                    {
                        "name": _TEXT,
                        "description": _TEXT,
                        "prompt": _TEXT,
                        "negative_prompt": _TEXT,
                        "provider": _TEXT,
                        "strength": {"type": "number", "minimum": 0, "maximum": 1},
                        "built_in": _YES_OR_NO,
                        "values": {"type": "object"},
                    },
                )
            ),
            "broken": {"type": "object", "additionalProperties": ref("Problem")},
        },
    ),
}

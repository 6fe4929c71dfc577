"""Holds JSON values against the types that an SDK declares: typed dictionaries and
pydantic models. Unlike the SDKs themselves it complains of members that a type does not
have, and takes no number for a string."""

import collections.abc
import functools
import types
import typing

import pydantic
import typing_extensions

WRAPPERS = {typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.ReadOnly}
WRAPPERS |= {typing.Required, typing.NotRequired}
PLAIN = {str: str, bool: bool, int: int, float: (int, float), type(None): type(None), None: type(None)}


class Shapes:
    """The types of one SDK. What is free may hold anything; extra are members that an API
    has and its SDK does not declare."""

    def __init__(self, free=(), extra=None):
        self.free = set(free)
        self.extra = extra or {}

    def complaints(self, value, declared, path=""):
        """All that is wrong with a value, each with its path."""
        origin, args = typing.get_origin(declared), typing.get_args(declared)
        if declared in (typing.Any, object) or isinstance(declared, typing.TypeVar) or declared in self.free:
            return []
        if isinstance(declared, typing_extensions.TypeAliasType):
            return self.complaints(value, declared.__value__, path)
        if origin is typing.Annotated or origin in WRAPPERS:
            return self.complaints(value, args[0], path)
        if origin in (typing.Union, types.UnionType):
            return self._any(value, args, path)
        if origin is typing.Literal:
            return [] if value in args and not isinstance(value, (dict, list)) else [f"{path}: {value!r} is none of {args}"]
        if declared in PLAIN:
            fits = isinstance(value, PLAIN[declared]) and (declared is bool or not isinstance(value, bool))
            return [] if fits else [f"{path}: {value!r} is no {declared}"]
        if members := _members(declared):
            return self._object(value, members, self.extra.get(declared, ()), path)
        kind = origin or declared
        if isinstance(kind, type) and issubclass(kind, collections.abc.Mapping):
            return self._mapping(value, args[1] if args else typing.Any, path)
        if isinstance(kind, type) and issubclass(kind, collections.abc.Iterable) and kind is not bytes:
            return self._list(value, args[0] if args else typing.Any, path)
        return [f"{path}: {value!r} is no {declared}"]

    def _any(self, value, options, path):
        """Some of the options must fit. The closest one says what is wrong. A mapping of
        anything beside a model, and a model beside a typed dictionary, are a convenience
        for callers."""
        if any(_is_model(_bare(option)) for option in options):
            options = [o for o in options if typing.get_origin(o) not in (dict, collections.abc.Mapping)]
        if any(typing_extensions.is_typeddict(_bare(option)) for option in options):
            options = [o for o in options if not _is_model(_bare(o))]
        found = [self.complaints(value, option, path) for option in options]
        # Complaints from deep inside come from an option that fits further.
        return min(found, key=lambda wrong: (bool(wrong), -max((w.count(".") for w in wrong), default=0), len(wrong)))

    def _object(self, value, members, extra, path):
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no object"]
        wrong = [f"{path}.{name}: no such member" for name in value if name not in members and name not in extra]
        for name, (declared, required) in members.items():
            if name in value:
                wrong += self.complaints(value[name], declared, f"{path}.{name}")
            elif required:
                wrong.append(f"{path}.{name}: missing")
        return wrong

    def _mapping(self, value, declared, path):
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no object"]
        return [w for name, v in value.items() for w in self.complaints(v, declared, f"{path}.{name}")]

    def _list(self, value, declared, path):
        if not isinstance(value, list):
            return [f"{path}: {value!r} is no list"]
        return [w for i, v in enumerate(value) for w in self.complaints(v, declared, f"{path}[{i}]")]


def _bare(declared):
    return typing.get_args(declared)[0] if typing.get_origin(declared) is typing.Annotated else declared


def _is_model(declared):
    return isinstance(declared, type) and issubclass(declared, pydantic.BaseModel)


@functools.cache
def _members(declared):
    """The members of a class: their types, and whether they must be there. None if it is
    no class with members."""
    if typing_extensions.is_typeddict(declared):
        hints = typing_extensions.get_type_hints(declared, include_extras=True)
        return {name: (hint, _is_required(declared, name, hint)) for name, hint in hints.items()}
    if _is_model(declared):
        declared.model_rebuild()
        fields = declared.model_fields.items()
        return {field.alias or name: (field.annotation, field.is_required()) for name, field in fields}
    return None


def _is_required(declared, name, hint):
    """Annotations that are strings keep Required and NotRequired from the class itself."""
    origin = typing.get_origin(hint)
    if origin in (typing_extensions.Required, typing.Required):
        return True
    if origin in (typing_extensions.NotRequired, typing.NotRequired):
        return False
    return name in declared.__required_keys__

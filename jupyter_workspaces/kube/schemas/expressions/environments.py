"""CEL environments: one that type-checks rules with a schema, and one that evaluates them.

Values are plain dicts and lists, not messages of the schema's types. So rules are checked in the
first environment and evaluated in the second, where all values are dynamic.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jupyter_workspaces.common import patterns

from . import bounds
from .declarations import Declarations, Type
from .formats import validate
from .functions import (
    MATCHES,
    Signature,
    comparisons,
    conversions,
    signatures,
)
from .library import FUNCTIONS
from .values import Schema

if TYPE_CHECKING:
    from cel_expr_python import cel

OLD, OLD_VALUE, OLD_GIVEN = "oldSelf", "oldSelfValue", "oldSelfGiven"
"""Variables of the old value. If it is optional, the first is made of the last two."""

_EXTENSIONS = ("optional", "two-var-comprehensions", "sets")
_REDECLARED = ("_<_", "_<=_", "_>_", "_>=_", "string")
_ANY = ("BOOL", "INT", "UINT", "DOUBLE", "STRING", "BYTES", "TIMESTAMP", "DURATION", "LIST", "MAP")
_BY_LIBRARY = {
    "charAt",
    "indexOf",
    "lastIndexOf",
    "join",
    "lowerAscii",
    "upperAscii",
    "replace",
    "split",
    "substring",
    "trim",
    "format",
}
"""Functions of the library's extension `strings`."""

_OURS: Mapping[str, Callable[..., Any]] = {**FUNCTIONS, "format.validate": validate}
_CODE = re.compile(r"\A[A-Z_]+: ")
_GROUP = re.compile(
    r"(?P<other>\\Q.*?(?:\\E|\Z)|\\.|\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\])|\((?:(?!\?)|\?P?<\w+>)",
    re.DOTALL,
)


class EvaluationError(Exception):
    """A rule or a function of the library cannot be evaluated for these values."""


def checker(schema: Schema, *, root: bool, optional_old: bool) -> cel.Env | None:
    """Return an environment with `self` and `oldSelf` of a schema's type, None without a type."""
    from cel_expr_python import cel

    try:
        declared = Declarations(schema, root=root)
        kind, pool = declared.type, declared.pool
    except TypeError:
        # Names of fields that are equal as names of a message's fields: use no types at all.
        kind, pool = {"type_name": "dyn"}, None
    if kind is None:
        return None
    old: Type = {"type_name": "optional_type", "params": [kind]} if optional_old else kind
    variables = [{"name": "self", **kind}, {"name": OLD, **old}]
    wanted = (
        (one, tuple(map(_type, one.parameters)), None)
        for one in (*signatures(), *comparisons(), *conversions())
        if one.name != MATCHES
    )
    config = _config("checker", _EXTENSIONS, variables, _REDECLARED)
    return cel.NewEnv(descriptor_pool=pool, config=config, functions=_declared(wanted, _type))


@lru_cache(maxsize=1)
def runner() -> cel.Env:
    """Return the environment that evaluates checked rules; all values are dynamic."""
    from cel_expr_python import cel

    variables = [{"name": name, "type_name": "dyn"} for name in ("self", OLD, OLD_VALUE, OLD_GIVEN)]
    config = _config("runner", (*_EXTENSIONS, "bindings"), variables, ("string",))
    return cel.NewEnv(config=config, functions=_declared(_runnable(), lambda _: cel.Type.DYN))


def _runnable() -> Iterator[tuple[Signature, tuple[cel.Type, ...], Callable[..., Any] | None]]:
    """Yield each signature once for the kinds of values that it accepts at run time.

    Lists of all types are lists there, and opaque values are objects.
    """
    from cel_expr_python import cel

    for one in conversions():
        yield one, tuple(map(_type, one.parameters)), None
    seen = set()
    for one in signatures():
        for kinds in itertools.product(*map(_kinds, one.parameters)):
            if (one.name, one.member, kinds) not in seen:
                seen.add((one.name, one.member, kinds))
                yield one, tuple(getattr(cel.Type, kind) for kind in kinds), _implementation(one)


def _declared(
    overloads: Iterable[tuple[Signature, tuple[cel.Type, ...], Callable[..., Any] | None]],
    result: Callable[[str], cel.Type],
) -> list[cel.FunctionDecl]:
    from cel_expr_python import cel

    by_name: dict[str, list[cel.Overload]] = {}
    for number, (one, parameters, does) in enumerate(overloads):
        told: dict[str, Any] = {} if does is None else {"impl": does}
        by_name.setdefault(one.name, []).append(
            cel.Overload(
                f"{one.id} {number}", result(one.result), parameters, is_member=one.member, **told
            )
        )
    return [cel.FunctionDecl(name, held) for name, held in by_name.items()]


def _config(
    name: str, extensions: Iterable[str], variables: list[Type], without: Iterable[str]
) -> cel.EnvConfig:
    from cel_expr_python import cel

    config = {
        "name": name,
        "stdlib": {"exclude_functions": [{"name": function} for function in without]},
        "extensions": [{"name": extension, "version": "latest"} for extension in extensions],
        "variables": variables,
    }
    return cel.NewEnvConfigFromYaml(json.dumps(config))


def _type(name: str) -> cel.Type:
    """Return the type for a name in a signature: `int`, `map(string,list(string))`, `net.IP`."""
    from cel_expr_python import cel

    _, bracket, inner = name.partition("(")
    if not bracket:
        return cel.Type.AbstractType(name, []) if "." in name else getattr(cel.Type, name.upper())
    first, comma, rest = inner[:-1].partition(",")
    return cel.Type.Map(_type(first), _type(rest)) if comma else cel.Type.List(_type(first))


def _kinds(name: str) -> tuple[str, ...]:
    outer = name.partition("(")[0]
    return _ANY if outer == "dyn" else ("MAP",) if "." in outer else (outer.upper(),)


def _implementation(one: Signature) -> Callable[..., Any]:
    if one.name in _REGULAR:
        return _told(_REGULAR[one.name])
    if one.name in _BY_LIBRARY and one.parameters[0] != "list(dyn)":
        return _told(_library_call(one.name, len(one.parameters)))
    return _told(_OURS[one.name])


_why: list[str] = []
"""Messages of our functions: the library only reports that they failed."""


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except ValueError as error:
            _why[:] = [str(error)]
            raise

    return call


def _library_call(name: str, arity: int) -> Callable[..., Any]:
    """Return a function of an extension that cannot be loaded with ours of the same name."""

    def call(*arguments: Any) -> Any:
        bounds.check(name, arguments)
        names = "abcd"[:arity]
        return _run(
            _program(f"{names[0]}.{name}({', '.join(names[1:])})"),
            dict(zip(names, arguments, strict=True)),
        )

    return call


def _find_all(text: str, pattern: str, limit: int = -1) -> Any:
    """Find matches with the library's engine, in linear time.

    As in Kubernetes, the whole match counts, not its groups.
    """
    whole = f"({_GROUP.sub(lambda found: found['other'] or '(?:', pattern)})"
    bounds.match(whole, text)
    held: list[str] = _run(_program("regex.extractAll(a, b)"), {"a": text, "b": whole})
    bounds.parts(len(held))
    return held if limit < 0 else held[:limit]


def _find(text: str, pattern: str) -> str:
    found = _find_all(text, pattern)
    return str(found[0]) if found else ""


def _matches(text: str, pattern: str) -> bool:
    return bounds.matches(pattern, text)


_REGULAR: Mapping[str, Callable[..., Any]] = {
    "find": _find,
    "findAll": _find_all,
    MATCHES: _matches,
}


@lru_cache(maxsize=64)
def _program(text: str) -> cel.Expression:
    return _plain().compile(text)


@lru_cache(maxsize=1)
def _plain() -> cel.Env:
    from cel_expr_python import cel

    return cel.NewEnv(
        config=_config(
            "plain",
            ("optional", "strings", "regex"),
            [{"name": name, "type_name": "dyn"} for name in "abcd"],
            (),
        )
    )


def compile_problem(environment: cel.Env, text: str) -> tuple[str | None, str]:
    """Return what is wrong with an expression (None if it is valid), and its type."""
    try:
        return None, str(environment.compile(text).return_type())
    except RuntimeError as error:
        return str(error).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]"), ""


def is_pattern(literal: str) -> bool:
    """Return whether a text, as a rule writes it, is a regular expression."""
    try:
        patterns.size(str(evaluate(_program(literal), {})))
    except (EvaluationError, RuntimeError, patterns.PatternError):
        return False
    return True


def evaluate(program: cel.Expression, data: Mapping[str, Any]) -> Any:
    """Return the value of an expression. Raises `EvaluationError`."""
    _why.clear()
    bounds.start()
    return _run(program, data)


def _run(program: cel.Expression, data: Mapping[str, Any]) -> Any:
    from cel_expr_python import cel

    try:
        result = program.eval(data=data)
    except RuntimeError as error:
        raise EvaluationError(str(error)) from error
    if result.type() == cel.Type.ERROR:
        raise EvaluationError(_why.pop() if _why else _CODE.sub("", str(result.value()), count=1))
    return result.plain_value()

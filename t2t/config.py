"""Plain mappings into frozen, typed, validated dataclasses, and back.

Configs live as dataclasses beside the code they configure. `build` turns the mapping that a config file or a command
line produced into one of them, field by field, so that a misspelt or mistyped field is an error that names its place.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from t2t.errors import ConfigError, unknown

T = TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any] | T, where: str = "config") -> T:
    """Builds `cls`, a dataclass, from a mapping of its fields, recursively.

    Args:
      cls: the dataclass to build.
      values: its fields by name, nested mappings for nested dataclasses; or an instance of `cls`, which is returned.
      where: the dotted path shown in errors.

    Raises:
      ConfigError: an unknown field (with the nearest names), a value of the wrong type, or what the dataclass itself
        refuses on construction; always with the dotted path.
    """
    if isinstance(values, cls):
        return values
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected the fields of {cls.__name__}, found {values!r}.")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    for name in values:
        if name not in fields:
            raise ConfigError(f"{where}.{name}: {unknown(f'field of {cls.__name__}', name, fields)}")
    arguments = {name: _coerce(hints[name], value, f"{where}.{name}") for name, value in values.items()}
    missing = [
        n
        for n, f in fields.items()
        if n not in arguments and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(
            f"{where}: {cls.__name__} needs {', '.join(missing)}; found {sorted(arguments) or 'nothing'}."
        )
    try:
        return cls(**arguments)
    except (ConfigError, ValueError) as error:  # rooms that import nothing of the project raise ValueError
        raise ConfigError(f"{where}: {error}") from None


def as_dict(value: Any) -> Any:
    """A dataclass as plain dicts, lists and scalars, ready for JSON and for `build`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_dict(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, Mapping):
        return {str(k): as_dict(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_dict(v) for v in value]
    return value


def difference(new: Any, old: Any, where: str = "") -> dict[str, tuple[Any, Any]]:
    """The leaves in which two configs differ: dotted path → (old value, new value)."""
    new, old = as_dict(new), as_dict(old)
    if isinstance(new, dict) and isinstance(old, dict):
        changed = {}
        for key in list(new) + [k for k in old if k not in new]:
            changed |= difference(new.get(key), old.get(key), f"{where}.{key}" if where else str(key))
        return changed
    return {} if new == old and type(new) is type(old) else {where: (old, new)}


def _coerce(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint` says, or an error that says where and what was expected."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _coerce_union(arguments, value, where)
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise ConfigError(f"{where}: {unknown('choice', value, arguments)}")
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}: expected a list, found {value!r}.")
        kinds = [arguments[0]] * len(value) if len(arguments) == 2 and arguments[1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise ConfigError(f"{where}: expected {len(kinds)} values, found {len(value)}: {value!r}.")
        return tuple(_coerce(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value)))
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: expected a mapping, found {value!r}.")
        return {_coerce(arguments[0], k, where): _coerce(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{where}: expected {getattr(hint, '__name__', hint)}, found {type(value).__name__} {value!r}.")


def _coerce_union(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    """A value of one of `choices`. Dataclasses among them are told apart by their field `name`, a Literal."""
    if value is None and type(None) in choices:
        return None
    choices = tuple(c for c in choices if c is not type(None))
    if len(choices) == 1:
        return _coerce(choices[0], value, where)
    for choice in choices:
        if isinstance(choice, type) and isinstance(value, choice) and not (choice is int and isinstance(value, bool)):
            return value
    lists = [c for c in choices if typing.get_origin(c) is tuple]
    if isinstance(value, (list, tuple)) and len(lists) == 1:
        return _coerce(lists[0], value, where)
    classes = [c for c in choices if dataclasses.is_dataclass(c)]
    if classes and isinstance(value, Mapping):
        by_name = {typing.get_args(typing.get_type_hints(c)["name"])[0]: c for c in classes}
        if value.get("name") not in by_name:
            raise ConfigError(f"{where}.name: {unknown('name', value.get('name', ''), by_name)}")
        return build(by_name[value["name"]], value, where)
    for choice in choices:
        if choice not in classes:
            try:
                return _coerce(choice, value, where)
            except ConfigError:
                continue
    told = [
        " or ".join(map(repr, typing.get_args(c)))
        if typing.get_origin(c) is typing.Literal
        else getattr(c, "__name__", str(c))
        for c in choices
    ]
    raise ConfigError(f"{where}: expected {' or '.join(told)}, found {value!r}.")

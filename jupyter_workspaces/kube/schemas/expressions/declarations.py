"""Declares a structural schema as CEL types, so that rules are type-checked with their CRD.

Objects become messages of a protobuf descriptor pool. Lists of lists and maps of lists, which
messages cannot hold, have the type `dyn`.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from .values import Schema, escaped

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool

Type = dict[str, Any]

_DYN: Type = {"type_name": "dyn"}
_SCALARS = {"boolean": "bool", "integer": "int", "number": "double", "string": "string"}
_FORMATS = {"byte": "bytes", "date": "timestamp", "date-time": "timestamp", "duration": "duration"}
_MESSAGES = {
    "timestamp": ".google.protobuf.Timestamp",
    "duration": ".google.protobuf.Duration",
    "dyn": ".google.protobuf.Value",
}
_METADATA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
}
_PACKAGE = "schema"


class Declarations:
    """The types of one schema, and the pool that holds its messages."""

    def __init__(self, schema: Schema, *, root: bool = False) -> None:
        """Declare the types of a schema; `root` is true for the schema of a whole object."""
        from google.protobuf import (
            descriptor_pb2,
            descriptor_pool,
            duration_pb2,
            struct_pb2,
            timestamp_pb2,
        )

        self._field = descriptor_pb2.FieldDescriptorProto
        known = (duration_pb2, struct_pb2, timestamp_pb2)
        self._file = descriptor_pb2.FileDescriptorProto(
            name="schema.proto", package=_PACKAGE, syntax="proto2"
        )
        self._file.dependency.extend(module.DESCRIPTOR.name for module in known)
        self._numbers = count(1)
        self.type = self._type(schema, root=root)
        """As an environment's configuration has it; None for what rules cannot speak of."""
        self.pool: DescriptorPool = descriptor_pool.DescriptorPool()
        for module in known:
            self.pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        self.pool.AddSerializedFile(self._file.SerializeToString())

    def _type(self, schema: Schema, *, root: bool = False) -> Type | None:
        if schema.get("x-kubernetes-int-or-string"):
            return _DYN
        kind = schema.get("type")
        if kind == "array":
            inner = self._type(schema.get("items") or {})
            return None if inner is None else {"type_name": "list", "params": [inner]}
        if kind != "object":
            name = (
                _FORMATS.get(schema.get("format", ""), "string")
                if kind == "string"
                else _SCALARS.get(kind or "")
            )
            return None if name is None else {"type_name": name}
        if isinstance(additional := schema.get("additionalProperties"), dict):
            inner = self._type(additional)
            return (
                None
                if inner is None
                else {"type_name": "map", "params": [{"type_name": "string"}, inner]}
            )
        return {
            "type_name": self._message(
                schema, root=root or bool(schema.get("x-kubernetes-embedded-resource"))
            )
        }

    def _message(self, schema: Schema, *, root: bool) -> str:
        name = f"Object{next(self._numbers)}"
        message = self._file.message_type.add(name=name)
        properties: Schema = dict(schema.get("properties") or {})
        if root:
            properties |= {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": _METADATA,
            }
        for number, (field, child) in enumerate(properties.items(), 1):
            spoken, held = escaped(field), self._type(child)
            if spoken is not None and held is not None:
                self._add(message, name, spoken, number, held)
        return f"{_PACKAGE}.{name}"

    def _add(
        self, message: DescriptorProto, owner: str, name: str, number: int, held: Type
    ) -> None:
        field = message.field.add(
            name=name, number=number, label=self._field.LABEL_OPTIONAL, json_name=f"field{number}"
        )
        inner = held
        if held["type_name"] in ("list", "map") and held["params"][-1]["type_name"] not in (
            "list",
            "map",
        ):
            field.label, inner = self._field.LABEL_REPEATED, held["params"][-1]
        elif held["type_name"] in ("list", "map"):
            inner = _DYN
        if held["type_name"] != "map" or (
            inner is _DYN and field.label != self._field.LABEL_REPEATED
        ):
            self._set(field, inner)
            return
        entry = message.nested_type.add(
            name="".join(part[:1].upper() + part[1:] for part in name.split("_")) + "Entry"
        )
        entry.options.map_entry = True
        entry.field.add(
            name="key", number=1, label=self._field.LABEL_OPTIONAL, type=self._field.TYPE_STRING
        )
        self._set(entry.field.add(name="value", number=2, label=self._field.LABEL_OPTIONAL), inner)
        field.type, field.type_name = self._field.TYPE_MESSAGE, f".{_PACKAGE}.{owner}.{entry.name}"

    def _set(self, field: FieldDescriptorProto, held: Type) -> None:
        scalars = {
            "bool": self._field.TYPE_BOOL,
            "int": self._field.TYPE_INT64,
            "double": self._field.TYPE_DOUBLE,
            "string": self._field.TYPE_STRING,
            "bytes": self._field.TYPE_BYTES,
        }
        name = held["type_name"]
        if name in scalars:
            field.type = scalars[name]
        else:
            field.type, field.type_name = self._field.TYPE_MESSAGE, _MESSAGES.get(name, f".{name}")

"""A record's id as text, and how the table is asked for it again in the id column's own type.

What belongs here: conversion between ids and stored keys. Which rows are read, and how, belongs to `sql`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.types import NullType, TypeEngine

from contact_sync.crm.timestamps import Column, Condition

_Convert = Callable[[str], Any]

_CONVERT: dict[type, _Convert] = {str: str, int: int, Decimal: Decimal, UUID: UUID, bytes: bytes.fromhex}

_MAX_LENGTH = 255


def id_of(key: object) -> str:
    """Return a stored key as text: bytes as hex, nothing as the empty text."""
    if isinstance(key, bytes | bytearray | memoryview):
        return bytes(key).hex()
    return "" if key is None else str(key)


def any_of(dialect: str, column: Column, ids: Sequence[str]) -> Condition:
    """Return the condition of the rows with one of `ids`, as `id_of` gave them; an index on the column serves it.

    An id that no value of the column's type can have is left out. A type that is none of text, number, UUID and
    binary is compared as text, which no index serves. A collation may take other ids for these, and the reader
    decides.
    """
    if dialect == "sqlite":  # which keeps values of any type under any declaration
        return column.in_(list(_keys(ids, (str, _sqlite_integer, float, bytes.fromhex))))
    kind = _kind(column.type)
    if kind not in _CONVERT:
        return sa.cast(column, sa.String(_MAX_LENGTH)).in_(ids)
    if kind is int:  # without a type: PostgreSQL refuses a parameter of the column's that is too large for it
        column = sa.column(column.name, NullType())
    keys = list(_keys(ids, (_CONVERT[kind],)))
    return column.in_(sa.bindparam("ids", keys, type_=column.type, expanding=True))


def _keys(ids: Iterable[str], conversions: Iterable[_Convert]) -> Iterator[Any]:
    """Yield the values whose text is one of `ids`."""
    for crm_id in ids:
        for convert in conversions:
            try:
                key = convert(crm_id)
            except (ValueError, ArithmeticError):
                continue
            if id_of(key) == crm_id:
                yield key


def _kind(type_: TypeEngine[Any]) -> type:
    """Return the Python type that stands for `type_`; `object` for those without one."""
    if isinstance(type_, sa.Enum):  # as text it would not do: PostgreSQL refuses a word that is not of the type
        return object
    return int if isinstance(type_, sa.Integer) else type_.python_type  # Oracle's NUMBER calls itself a float


def _sqlite_integer(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise OverflowError
    return number

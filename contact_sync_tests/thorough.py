"""Parameters that take long all together: `make test` runs the first of them, `make chaos` the rest."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def thorough(values: Iterable[Any], ids: Sequence[str] | None = None, *, quick: int = 2) -> list[Any]:
    """Return parameters for `pytest.mark.parametrize`.

    Args:
        values: The values.
        ids: Their names in the ids of the tests, if they have none of their own.
        quick: How many of them always run.
    """
    every = list(values)
    names: Sequence[str | None] = ids or [None] * len(every)
    marks = [() if at < quick else (pytest.mark.chaos,) for at in range(len(every))]
    return [pytest.param(one, marks=mark, id=name) for one, mark, name in zip(every, marks, names, strict=True)]

"""Counting a frame that goes by in pieces, and judging it against its contract.

What belongs here: what has to be known of a whole frame without holding it: its counts, its digest, whether a key
is repeated, whether too much of it is held. Columns and types are `contacts.schemas`'.
"""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from contact_sync.contacts.columns import texts_of
from contact_sync.contacts.decisions import DELETE_GUARD, NO_ROOM, SPLIT
from contact_sync.contacts.schemas import SCHEMAS, ContractError, check

FEW_ROWS = 20
"""Below this many rows a share says nothing."""

_COUNTED = ("kind", "state", "action", "outcome", "rule")
_FILLED = ("notes", "request")
_MODULUS = 1 << 256


class Tally:
    """What is counted of one asset's frame.

    Attributes:
        rows: Rows so far.
        values: Rows by column and value, of the columns that sort rows into kinds.
        filled: Rows that carry a value, by column.
        held_because: Rows whose outcome is held, by reason.
        split: Rows whose record has become somebody else than the rest of its contact.
        without_room: Rows whose record's CRM id finds no room on its contact.
        broken: How the frame breaks its contract, without values; None if it keeps it.
    """

    def __init__(self, asset: str) -> None:
        self.asset = asset
        self.rows = 0
        self.values: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}
        self.filled: Counter[str] = Counter()
        self.held_because: Counter[str] = Counter()
        self.split = 0
        self.without_room = 0
        self.broken: str | None = None
        self._sum = 0
        self._keys = array("Q")

    def add(self, piece: pd.DataFrame) -> None:
        """Count the next rows.

        Raises:
            ContractError: The piece breaks its contract.
        """
        check(SCHEMAS[self.asset], piece)
        self.rows += len(piece)
        for name in _COUNTED:
            if name in piece:
                self.values[name].update(_counted(piece[name]))
        for name in _FILLED:
            if name in piece:
                self.filled[name] += int(piece[name].notna().sum())
        if "reason" in piece:
            self.split += int((piece["reason"] == SPLIT).sum())
            self.without_room += int((piece["reason"] == NO_ROOM).sum())
        if "outcome" in piece:
            self.held_because.update(_counted(piece.loc[piece["outcome"] == "held", "reason"]))
        if "crm_id" in piece:
            self._add_keys(piece)

    def judge(self, max_held_share: float) -> None:
        """Refuse the whole: a version that is there twice, or too many rows held.

        Raises:
            ContractError: With the rule or the share; without values.
        """
        if repeated := len(self._keys) - len(np.unique(np.frombuffer(self._keys, dtype=np.uint64))):
            raise ContractError(f"{self.asset} breaks its contract: crm_id, version: repeated ({repeated})")
        self._keys = array("Q")  # of no more use, and as long as the frame
        held = self.held_share
        if self.rows >= FEW_ROWS and held > max_held_share:
            raise ContractError(
                f"{self.asset} holds {held:.0%} of {self.rows} rows, over sync.max_held_share "
                f"({max_held_share:.0%}): look at the reasons in its frame, or raise the setting"
            )

    def require(self) -> "Tally":
        """Return the tally of a frame that keeps its contract.

        Raises:
            ContractError: It does not.
        """
        if self.broken:
            raise ContractError(self.broken)
        return self

    @property
    def held_share(self) -> float:
        """The share of rows that are held as bad or unclear.

        Deletes that the guard holds are neither: a mass delete stops no other row.
        """
        unclear = self.values["action"]["hold"] - self.values["rule"][DELETE_GUARD]
        return (self.values["state"]["held"] + unclear) / self.rows if self.rows else 0.0

    @property
    def digest(self) -> str:
        """A hash of which versions the frame holds, whatever their order."""
        return f"{self._sum:064x}"

    def _add_keys(self, piece: pd.DataFrame) -> None:
        for crm_id, version in zip(
            *(texts_of(piece[name]).to_pylist() for name in ("crm_id", "version")), strict=True
        ):
            hashed = hashlib.sha256(f"{crm_id}\x1f{version}".encode()).digest()
            self._sum = (self._sum + int.from_bytes(hashed, "big")) % _MODULUS
            self._keys.append(int.from_bytes(hashed[:8], "big"))


def _counted(column: pd.Series) -> Mapping[str, int]:
    return {one["values"]: one["counts"] for one in texts_of(column.dropna()).value_counts().to_pylist()}


def tally_of(asset: str, pieces: Iterable[pd.DataFrame], max_held_share: float) -> Tally:
    """Count a frame and judge it; what breaks the contract is told by the tally."""
    tally = Tally(asset)
    try:
        for piece in pieces:
            tally.add(piece)
        tally.judge(max_held_share)
    except ContractError as error:
        tally.broken = str(error)
    return tally

"""The windowed frames: one Parquet file for each asset and window, published whole or not at all.

The root is an fsspec path, so `s3://bucket/folder` is a setting; on this machine the files are their owner's only.
A frame may be written and read in pieces, so that a window of a million rows needs the memory of a few thousand.
What belongs here: putting frames away and getting them back. Their contracts belong to `contacts.schemas`.
"""

import os
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem
from pyarrow import parquet

from contact_sync.contacts.window import Window
from contact_sync.state.database import StateError

PIECE = 5_000
"""Rows of a piece of a frame, and of a Parquet row group: what is read back is unpacked by the group."""

_STAMP = "%Y%m%dT%H%MZ"


class FrameWriter:
    """Appends pieces of one frame to a file that nobody sees until it is published.

    Everything raises `StateError` when the file cannot be written, such as on a full disk.
    """

    def __init__(self, filesystem: fsspec.AbstractFileSystem, path: str) -> None:
        """Write to the file that will be `path`; its folder exists."""
        self._filesystem = filesystem
        self._path = path
        self._unfinished = f"{path}.{uuid.uuid4().hex}.part"
        with _writing(path):
            self._file = self._create()
        self._writer: parquet.ParquetWriter | None = None

    def append(self, piece: pd.DataFrame) -> None:
        """Write the next rows; all pieces have the same columns and types."""
        table = pa.Table.from_pandas(piece, preserve_index=False)
        with _writing(self._path):
            if self._writer is None:
                self._writer = parquet.ParquetWriter(self._file, table.schema)
            self._writer.write_table(table, row_group_size=PIECE)

    def publish(self) -> None:
        """Put the file in its place, whole and on the disk.

        Raises:
            ValueError: Nothing was appended, so no columns are known.
        """
        if self._writer is None:
            msg = "a frame needs at least one piece, which tells its columns"
            raise ValueError(msg)
        with _writing(self._path):
            self._writer.close()
            if isinstance(self._filesystem, LocalFileSystem):
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
            self._filesystem.mv(self._unfinished, self._path)

    def discard(self) -> None:
        """Remove what was not published."""
        with suppress(OSError, pa.ArrowException):  # a full disk, which has been told of
            if self._writer:
                self._writer.close()
            self._file.close()
        if self._filesystem.exists(self._unfinished):
            self._filesystem.rm(self._unfinished)

    def _create(self) -> Any:  # noqa: ANN401 (whatever fsspec opens)
        """Open the file; on this machine readable by its owner only."""
        if not isinstance(self._filesystem, LocalFileSystem):
            return self._filesystem.open(self._unfinished, "wb")
        return os.fdopen(os.open(self._unfinished, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb")


@contextmanager
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StateError(
            f"the frame {path} cannot be written ({reason}): free or change the folder in CONTACT_SYNC_FRAMES"
        ) from None


class FrameStore:
    """Frames of one source under one root."""

    def __init__(self, root: str, source: str) -> None:
        """Use `root` (a path or an fsspec URL); folders are made when something is written."""
        self._filesystem, self._root = fsspec.url_to_fs(root)
        self._source = source

    def path(self, asset: str, window: Window) -> str:
        """Return where the frame of an asset and window is, or would be."""
        start, end = (instant.astimezone(UTC).strftime(_STAMP) for instant in (window.start, window.end))
        name = f"{start}_{end}.parquet"
        return f"{self._root}/{self._source}/{asset}/{name}"

    def write(self, asset: str, window: Window, frame: pd.DataFrame) -> str:
        """Store a frame and return its path; an older frame stays until the new one is complete.

        Raises:
            StateError: The frame cannot be written, such as on a full disk.
        """
        with self.writer(asset, window) as file:
            file.append(frame)
        return self.path(asset, window)

    @contextmanager
    def writer(self, asset: str, window: Window) -> Iterator[FrameWriter]:
        """Open a frame for writing in pieces; it takes the older one's place when the block ends well.

        Raises:
            StateError: The frame cannot be written.
            ValueError: Nothing was appended.
        """
        path = self.path(asset, window)
        with _writing(path):
            self._make_private(path.rsplit("/", 1)[0])
        writer = FrameWriter(self._filesystem, path)
        try:
            yield writer
            writer.publish()
        finally:
            writer.discard()

    def read(self, asset: str, window: Window) -> pd.DataFrame:
        """Return the frame of an asset and window.

        Raises:
            StateError: There is none, or its file is damaged.
        """
        with self._opened(asset, window) as file:
            frame: pd.DataFrame = file.read().to_pandas()
            return frame

    def pieces(
        self, asset: str, window: Window, columns: Sequence[str] | None = None, rows: int = PIECE
    ) -> Iterator[pd.DataFrame]:
        """Yield the frame of an asset and window in pieces of at most `rows` rows; one, if it is empty.

        The pieces are of one frame, even if a newer one takes its place meanwhile.

        Raises:
            StateError: There is none, or its file is damaged.
        """
        for table in self.tables(asset, window, columns, rows):
            yield table.to_pandas()

    def tables(
        self, asset: str, window: Window, columns: Sequence[str] | None = None, rows: int = PIECE
    ) -> Iterator[pa.Table]:
        """Yield `pieces` as Arrow tables, which are cheap to select from."""
        with self._opened(asset, window) as file:
            if not file.metadata.num_rows:
                yield file.read(columns=columns)
            step = max(1, rows // PIECE)
            for first in range(0, file.num_row_groups, step):  # an iterator keeps the bytes of all that it read
                groups = range(first, min(first + step, file.num_row_groups))
                for batch in file.iter_batches(rows, row_groups=list(groups), columns=columns):
                    yield pa.Table.from_batches([batch])

    def fingerprint(self, asset: str, window: Window) -> str:
        """Return what tells the file of a frame from every other that takes its place.

        Raises:
            StateError: There is none.
        """
        path = self.path(asset, window)
        self._filesystem.invalidate_cache(path)  # another process may have written since it was listed
        try:
            return str(self._filesystem.ukey(path))
        except FileNotFoundError:
            raise _missing(asset, window) from None

    def has(self, asset: str, window: Window) -> bool:
        """Tell whether there is a frame of an asset and window."""
        return bool(self._filesystem.exists(self.path(asset, window)))

    def find(self, asset: str, window: Window, wanted: Mapping[str, Collection[str]]) -> pd.DataFrame:
        """Return the rows of a frame in which a column of `wanted` has one of the values wanted of it.

        Raises:
            StateError: There is none, or its file is damaged.
        """
        with self._opened(asset, window) as file:
            found = [file.schema_arrow.empty_table().to_pandas()]
            for group in range(file.num_row_groups):
                keys = file.read_row_group(group, columns=list(wanted)).to_pandas()
                hits = keys.isin({column: list(values) for column, values in wanted.items()}).any(axis="columns")
                if hits.any():
                    found.append(file.read_row_group(group).to_pandas()[hits])
        rows: pd.DataFrame = pd.concat(found, ignore_index=True)
        return rows

    @contextmanager
    def _opened(self, asset: str, window: Window) -> Iterator[Any]:
        path = self.path(asset, window)
        try:
            with self._filesystem.open(path, "rb") as file:
                yield parquet.ParquetFile(file)
        except FileNotFoundError:
            raise _missing(asset, window) from None
        except (OSError, pa.ArrowException) as error:
            raise StateError(
                f"the frame {path} is damaged ({type(error).__name__}): materialise {asset} for that window again"
            ) from None

    def _make_private(self, folder: str) -> None:
        if isinstance(self._filesystem, LocalFileSystem):
            # One by one: the mode is not that of missing parents, and what the operator made stays as it is.
            for path in (Path(self._root), Path(folder).parent, Path(folder)):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            self._filesystem.makedirs(folder, exist_ok=True)


def _missing(asset: str, window: Window) -> StateError:
    return StateError(f"{asset} has no frame for {window}: materialise {asset} for that window first")

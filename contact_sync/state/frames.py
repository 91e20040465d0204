"""The windowed frames: one Parquet file for each asset and window, written whole or not at all.

The root is an fsspec path, so `s3://bucket/folder` is a setting; on this machine the files are their owner's only.
What belongs here: putting frames away and getting them back. Their contracts belong to `contacts.schemas`.
"""

import os
import uuid
from datetime import UTC
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from contact_sync.contacts.window import Window
from contact_sync.state.database import StateError

_STAMP = "%Y%m%dT%H%MZ"


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
        path = self.path(asset, window)
        unfinished = f"{path}.{uuid.uuid4().hex}.part"
        try:
            self._make_private(path.rsplit("/", 1)[0])
            self._put(unfinished, frame)
            self._filesystem.mv(unfinished, path)
        except OSError as error:
            self._discard(unfinished)
            reason = error.strerror or type(error).__name__
            raise StateError(
                f"the frame {path} cannot be written ({reason}): free or change the folder in CONTACT_SYNC_FRAMES"
            ) from None
        return path

    def read(self, asset: str, window: Window) -> pd.DataFrame:
        """Return the frame of an asset and window.

        Raises:
            StateError: There is none, or its file is damaged.
        """
        path = self.path(asset, window)
        try:
            with self._filesystem.open(path, "rb") as file:
                return pd.read_parquet(file)
        except FileNotFoundError:
            raise StateError(
                f"{asset} has no frame for {window}: materialise {asset} for that window first"
            ) from None
        except (OSError, pa.ArrowException, ValueError) as error:
            raise StateError(
                f"the frame {path} is damaged ({type(error).__name__}): materialise {asset} for that window again"
            ) from None

    def _put(self, path: str, frame: pd.DataFrame) -> None:
        if not isinstance(self._filesystem, LocalFileSystem):
            with self._filesystem.open(path, "wb") as file:
                frame.to_parquet(file, index=False)
            return
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
            frame.to_parquet(file, index=False)
            file.flush()
            os.fsync(file.fileno())

    def _make_private(self, folder: str) -> None:
        if isinstance(self._filesystem, LocalFileSystem):
            # One by one: the mode is not that of missing parents, and what the operator made stays as it is.
            for path in (Path(self._root), Path(folder).parent, Path(folder)):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            self._filesystem.makedirs(folder, exist_ok=True)

    def _discard(self, path: str) -> None:
        if self._filesystem.exists(path):
            self._filesystem.rm(path)

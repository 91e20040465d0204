import errno
import os
import resource
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from contact_sync.contacts.schemas import NORMALIZED_CONTACTS, check, frame_of
from contact_sync.contacts.window import Window
from contact_sync.state.database import StateError
from contact_sync.state.frames import FrameStore
from contact_sync_tests.contacts.builders import normalized, person, record

WINDOW = Window(datetime(2026, 1, 1, 23, 30, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
ASSET = "normalized_contacts"


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{tmp_path}/frames" if request.param == "folder" else f"memory://{uuid.uuid4().hex}/frames"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "frames"


def frame(number: int) -> pd.DataFrame:
    return normalized(record(str(number), person(number), at=number))


def many() -> pd.DataFrame:
    """Return a frame whose file is larger than the disk that `full_disk` leaves."""
    return frame_of(NORMALIZED_CONTACTS, (record(uuid.uuid4().hex, person(number)) for number in range(2_000)))


@contextmanager
def full_disk(room: int = 20_000) -> Iterator[None]:
    """Let no file of this process grow past `room` bytes: the kernel refuses the write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def refusal(error: pytest.ExceptionInfo[StateError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert "person" not in message
    return message


@pytest.mark.parametrize("rows", [0, 1])
def test_a_frame_comes_back_as_it_went(root: str, rows: int) -> None:
    store, before = FrameStore(root, "crm"), frame(1).head(rows)
    store.write(ASSET, WINDOW, before)
    pd.testing.assert_frame_equal(check(NORMALIZED_CONTACTS, store.read(ASSET, WINDOW)), before)


def test_a_frame_is_replaced(root: str) -> None:
    store = FrameStore(root, "crm")
    for number in (1, 2):
        store.write(ASSET, WINDOW, frame(number))
    pd.testing.assert_frame_equal(store.read(ASSET, WINDOW), frame(2))


def test_sources_assets_and_windows_do_not_mix(root: str) -> None:
    later = Window(WINDOW.end, WINDOW.end + timedelta(minutes=30))
    keys = [(source, asset, window) for source in "ab" for asset in "cd" for window in (WINDOW, later)]
    for number, (source, asset, window) in enumerate(keys):
        FrameStore(root, source).write(asset, window, frame(number))
    for number, (source, asset, window) in enumerate(keys):
        assert FrameStore(root, source).read(asset, window)["crm_id"].tolist() == [str(number)]


def test_the_path_names_source_asset_and_window_in_utc(folder: Path) -> None:
    store = FrameStore(str(folder), "crm")
    berlin = timezone(timedelta(hours=1))
    same = Window(WINDOW.start.astimezone(berlin), WINDOW.end.astimezone(berlin))
    assert store.path(ASSET, WINDOW) == f"{folder}/crm/{ASSET}/20260101T2330Z_20260102T0000Z.parquet"
    assert store.path(ASSET, same) == store.path(ASSET, WINDOW)


def test_frames_are_their_owners_only(folder: Path) -> None:
    path = Path(FrameStore(str(folder), "crm").write(ASSET, WINDOW, frame(1)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(one.stat().st_mode) for one in (folder, folder / "crm", path.parent)} == {0o700}


def test_a_folder_of_the_operator_keeps_its_mode(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    FrameStore(str(folder), "crm").write(ASSET, WINDOW, frame(1))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "crm").stat().st_mode) == 0o700


def test_a_missing_frame_says_what_to_materialise(root: str) -> None:
    with pytest.raises(StateError) as missing:
        FrameStore(root, "crm").read(ASSET, WINDOW)
    assert refusal(missing) == (
        "normalized_contacts has no frame for 2026-01-01T23:30Z/2026-01-02T00:00Z: "
        "materialise normalized_contacts for that window first"
    )


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_damaged_frame_says_what_to_materialise(folder: Path, keep: int) -> None:
    store = FrameStore(str(folder), "crm")
    path = Path(store.write(ASSET, WINDOW, frame(1)))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StateError) as damaged:
        store.read(ASSET, WINDOW)
    message = refusal(damaged)
    assert message.startswith(f"the frame {path} is damaged (")
    assert message.endswith("materialise normalized_contacts for that window again")


def test_on_a_full_disk_the_older_frame_stays(folder: Path) -> None:
    store = FrameStore(str(folder), "crm")
    path = store.write(ASSET, WINDOW, frame(1))
    with pytest.raises(StateError) as full, full_disk():
        store.write(ASSET, WINDOW, many())
    assert refusal(full) == (
        f"the frame {path} cannot be written ({os.strerror(errno.EFBIG)}): "
        "free or change the folder in CONTACT_SYNC_FRAMES"
    )
    pd.testing.assert_frame_equal(store.read(ASSET, WINDOW), frame(1))
    assert files(folder) == [Path(path).name]


def test_a_disk_that_fills_at_the_last_byte_leaves_the_older_frame(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FrameStore(str(folder), "crm")
    path = store.write(ASSET, WINDOW, frame(1))

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match="No space left on device"):
        store.write(ASSET, WINDOW, frame(2))
    pd.testing.assert_frame_equal(store.read(ASSET, WINDOW), frame(1))
    assert files(folder) == [Path(path).name]


def test_a_remote_store_that_fails_keeps_the_older_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FrameStore(f"memory://{uuid.uuid4().hex}", "crm")
    path = store.write(ASSET, WINDOW, frame(1))

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(MemoryFileSystem, "mv", refuse)
    with pytest.raises(StateError, match="cannot be written"):
        store.write(ASSET, WINDOW, frame(2))
    monkeypatch.undo()
    pd.testing.assert_frame_equal(store.read(ASSET, WINDOW), frame(1))
    assert fsspec.filesystem("memory").ls(path.rsplit("/", 1)[0], detail=False) == [path]


def test_a_root_that_is_no_folder_is_refused(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(StateError) as refused:
        FrameStore(str(folder), "crm").write(ASSET, WINDOW, frame(1))
    assert "cannot be written (" in refusal(refused)
    assert folder.read_text() == "a file"

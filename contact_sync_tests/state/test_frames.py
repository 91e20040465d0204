import errno
import os
import resource
import stat
import uuid
from collections.abc import Callable, Iterator
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


# In pieces.


def people(*numbers: int) -> pd.DataFrame:
    return normalized(*(record(str(number), person(number)) for number in numbers))


def test_what_is_written_in_pieces_is_one_frame(root: str) -> None:
    store = FrameStore(root, "crm")
    with store.writer(ASSET, WINDOW) as file:
        for piece in (people(), people(1, 2), people(), people(3)):
            file.append(piece)
    pd.testing.assert_frame_equal(store.read(ASSET, WINDOW), people(1, 2, 3))


@pytest.mark.parametrize(("rows", "sizes"), [(1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (5, [5]), (100, [5])])
def test_a_frame_is_read_in_pieces_of_at_most_so_many_rows(root: str, rows: int, sizes: list[int]) -> None:
    store = FrameStore(root, "crm")
    store.write(ASSET, WINDOW, people(*range(5)))
    pieces = list(store.pieces(ASSET, WINDOW, rows=rows))
    assert [len(piece) for piece in pieces] == sizes
    whole = pd.concat(pieces, ignore_index=True)
    pd.testing.assert_frame_equal(check(NORMALIZED_CONTACTS, whole), people(*range(5)))


def test_an_empty_frame_is_one_piece_that_tells_the_columns(root: str) -> None:
    store = FrameStore(root, "crm")
    store.write(ASSET, WINDOW, people())
    (piece,) = store.pieces(ASSET, WINDOW)
    pd.testing.assert_frame_equal(piece, people())
    (piece,) = store.pieces(ASSET, WINDOW, columns=["crm_id"])
    assert (list(piece), len(piece)) == (["crm_id"], 0)


def test_pieces_are_of_one_frame_even_if_it_is_replaced_meanwhile(folder: Path) -> None:
    store = FrameStore(str(folder), "crm")
    store.write(ASSET, WINDOW, people(1, 2, 3))
    pieces = store.pieces(ASSET, WINDOW, rows=1)
    first = next(pieces)
    store.write(ASSET, WINDOW, people(7, 8, 9))
    assert [one["crm_id"].item() for one in (first, *pieces)] == ["1", "2", "3"]


def test_rows_are_found_by_a_column(root: str) -> None:
    store = FrameStore(root, "crm")
    store.write(ASSET, WINDOW, people(*range(9)))
    assert store.find(ASSET, WINDOW, {"crm_id": ["7", "2", "2", "no"]})["crm_id"].tolist() == ["2", "7"]
    nothing = store.find(ASSET, WINDOW, {"crm_id": []})
    pd.testing.assert_frame_equal(nothing, people())


@pytest.mark.parametrize(
    "read",
    [lambda store: list(store.pieces(ASSET, WINDOW)), lambda store: store.find(ASSET, WINDOW, {"crm_id": "1"})],
)
def test_a_missing_or_damaged_frame_is_told_whichever_way_it_is_read(
    folder: Path, read: Callable[[FrameStore], object]
) -> None:
    store = FrameStore(str(folder), "crm")
    with pytest.raises(StateError, match="has no frame for"):
        read(store)
    path = Path(store.write(ASSET, WINDOW, frame(1)))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StateError, match="is damaged"):
        read(store)


def test_damage_further_on_is_told_too(folder: Path) -> None:
    store = FrameStore(str(folder), "crm")
    path = Path(store.write(ASSET, WINDOW, many()))
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    with pytest.raises(StateError, match="is damaged"):
        list(store.pieces(ASSET, WINDOW))


@pytest.mark.parametrize("error", [KeyError, FileNotFoundError, KeyboardInterrupt])
def test_a_block_that_fails_publishes_nothing_and_its_error_is_not_called_the_frames(
    folder: Path, error: type[BaseException]
) -> None:
    store = FrameStore(str(folder), "crm")
    path = store.write(ASSET, WINDOW, frame(1))

    def fail() -> None:
        with store.writer(ASSET, WINDOW) as file:
            file.append(frame(2))
            raise error

    with pytest.raises(error):
        fail()
    pd.testing.assert_frame_equal(store.read(ASSET, WINDOW), frame(1))
    assert files(folder) == [Path(path).name]


def test_a_frame_of_no_piece_has_no_columns_and_is_refused(folder: Path) -> None:
    store = FrameStore(str(folder), "crm")
    with pytest.raises(ValueError, match="at least one piece"), store.writer(ASSET, WINDOW):
        pass
    assert files(folder) == []


def test_what_is_being_written_is_its_owners_only_and_nobody_sees_it(folder: Path) -> None:
    store = FrameStore(str(folder), "crm")
    with store.writer(ASSET, WINDOW) as file:
        file.append(frame(1))
        (unfinished,) = (path for path in folder.rglob("*") if path.is_file())
        assert stat.S_IMODE(unfinished.stat().st_mode) == 0o600
        assert unfinished.suffix == ".part"
        with pytest.raises(StateError, match="has no frame"):
            store.read(ASSET, WINDOW)
    assert files(folder) == [Path(store.path(ASSET, WINDOW)).name]


def test_two_writers_of_one_frame_do_not_mix(root: str) -> None:
    store = FrameStore(root, "crm")
    with store.writer(ASSET, WINDOW) as one, store.writer(ASSET, WINDOW) as other:
        for number, file in enumerate((one, other, one, other)):
            file.append(frame(number))
    assert store.read(ASSET, WINDOW)["crm_id"].tolist() == ["0", "2"]  # the one that ended last


def test_a_frame_that_takes_the_place_of_another_has_another_fingerprint(root: str) -> None:
    store = FrameStore(root, "crm")
    with pytest.raises(StateError, match="has no frame"):
        store.fingerprint(ASSET, WINDOW)
    store.write(ASSET, WINDOW, frame(1))
    first = store.fingerprint(ASSET, WINDOW)
    assert FrameStore(root, "crm").fingerprint(ASSET, WINDOW) == first
    store.write(ASSET, WINDOW, frame(1))
    assert store.fingerprint(ASSET, WINDOW) != first


class Listed(MemoryFileSystem):  # type: ignore[misc]  # untyped
    """Remembers what it was told of a file, as object stores do, until it is told to forget."""

    protocol = "listed"
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, object] = {}

    def info(self, path: str, **options: object) -> object:
        if path not in self._told:
            self._told[path] = super().info(path, **options)
        return self._told[path]

    def invalidate_cache(self, path: str | None = None) -> None:
        self._told.pop(str(path), None)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("listed://", "memory://")))


def test_a_fingerprint_is_not_taken_from_an_old_listing() -> None:
    fsspec.register_implementation("listed", Listed, clobber=True)
    root = f"{uuid.uuid4().hex}/frames"
    ours, theirs = FrameStore(f"listed://{root}", "crm"), FrameStore(f"memory://{root}", "crm")
    theirs.write(ASSET, WINDOW, frame(1))
    first = ours.fingerprint(ASSET, WINDOW)
    theirs.write(ASSET, WINDOW, frame(1))
    assert ours.fingerprint(ASSET, WINDOW) != first

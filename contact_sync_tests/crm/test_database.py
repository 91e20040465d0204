import logging
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from contact_sync.crm.database import Database
from contact_sync.crm.source import CrmConfigurationError, CrmUnavailableError

PASSWORD = "hunter2-SECRET"


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        (f"postgresql://crm:{PASSWORD}@db/crm", "write postgresql+psycopg:// in place of postgresql://"),
        (f"postgres://crm:{PASSWORD}@db/crm", "write postgresql+psycopg:// in place of postgres://"),
        (f"mysql://crm:{PASSWORD}@db/crm", "write mysql+pymysql:// in place of mysql://"),
        (f"mssql://crm:{PASSWORD}@db/crm", "write mssql+pyodbc:// in place of mssql://"),
        (f"postgresql+nosuch://crm:{PASSWORD}@db/crm", "names a driver that is not installed"),
        (f"crm:{PASSWORD}@db", "is not a database URL"),
        (f"postgresql+psycopg://crm:{PASSWORD}@db:port/crm", "is not a database URL"),
        ("", "is not a database URL"),
    ],
)
def test_an_unusable_url_is_told_without_its_password(url: str, advice: str) -> None:
    with pytest.raises(CrmConfigurationError) as caught:
        Database(url)
    assert advice in str(caught.value)
    assert "CONTACT_SYNC_CRM_URL" in str(caught.value)
    assert PASSWORD not in repr(caught.value)
    assert caught.value.__context__ is None


def test_an_unreachable_server_is_unavailable_and_its_password_unsaid() -> None:
    with closing(Database(f"postgresql+psycopg://crm:{PASSWORD}@127.0.0.1:1/crm")) as database:
        with pytest.raises(CrmUnavailableError) as caught:
            database.read(sa.text("SELECT 1"))
        assert PASSWORD not in str(caught.value) + repr(database)
        assert caught.value.__context__ is None


def test_a_mistyped_sqlite_path_is_unavailable_and_creates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mistyped.db"
    with closing(Database(f"sqlite:///{path}")) as database, pytest.raises(CrmUnavailableError, match="CANTOPEN"):
        database.read(sa.text("SELECT 1"))
    assert not path.exists()


def test_a_sqlite_file_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "50% of it.db"
    path.touch()
    with closing(Database(f"sqlite:///{path}")) as database, pytest.raises(CrmUnavailableError, match="READONLY"):
        database.read(sa.text("CREATE TABLE t (id)"))


def test_a_missing_table_is_none_and_a_view_is_a_table(postgres_url: str) -> None:
    with closing(sa_engine(postgres_url)) as connection:
        connection.execute(sa.text("CREATE VIEW people AS SELECT 1 AS id"))
    with closing(Database(postgres_url)) as database:
        assert list(database.columns("people", "public") or {}) == ["id"]
        assert database.columns("nobody", None) is None
        assert database.columns("people", "nowhere") is None


def test_a_talkative_engine_log_hides_values(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "crm.db"
    path.touch()
    with caplog.at_level(logging.INFO, "sqlalchemy.engine"), closing(Database(f"sqlite:///{path}")) as database:
        database.read(sa.select(sa.literal("SECRET")))
    assert "hidden" in caplog.text
    assert "SECRET" not in caplog.text


def sa_engine(url: str) -> sa.Connection:
    return sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect()

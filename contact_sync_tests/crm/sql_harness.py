"""A SQL CRM that tests may change, on SQLite or PostgreSQL."""

from collections.abc import Iterable
from datetime import UTC, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from contact_sync.crm.sql import SqlSource, SqlTable
from contact_sync_tests.crm.contract import Record

TABLE = SqlTable(
    name="contacts", id="id", modified_at="modified_at", deleted="is_deleted", merged_into="merged_into"
)


class SqlHarness:
    first_name = "first_name"
    email = "email"
    nickname = "nickname"

    def __init__(self, url: str, modified_at: TypeEngine[Any], *, timezone: str = "UTC") -> None:
        self.url = url
        self.settings = TABLE.model_copy(update={"timezone": timezone})
        self.engine = sa.create_engine(url)
        self._naive = not getattr(modified_at, "timezone", False)
        self.table = sa.Table(
            "contacts",
            sa.MetaData(),
            sa.Column("id", sa.String, primary_key=True),
            sa.Column("modified_at", modified_at, index=True),
            sa.Column("first_name", sa.String),
            sa.Column("email", sa.String),
            sa.Column("nickname", sa.String),
            sa.Column("is_deleted", sa.Boolean),
            sa.Column("merged_into", sa.String),
        )
        self.table.create(self.engine)
        self._sources: list[SqlSource] = []

    def put(self, records: Iterable[Record]) -> None:
        rows = [self._row(record) for record in records]
        with self.engine.begin() as connection:
            connection.execute(self.table.delete().where(self.table.c.id.in_([row["id"] for row in rows])))
            if rows:
                connection.execute(self.table.insert(), rows)

    def clear(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(self.table.delete())

    def break_down(self) -> None:
        self.table.drop(self.engine)

    def source(self, page_size: int = 7) -> SqlSource:
        source = SqlSource(
            self.url, self.settings, ["first_name", "email"], settle=timedelta(seconds=30), page_size=page_size
        )
        self._sources.append(source)
        return source

    def close(self) -> None:
        for source in self._sources:
            source.close()
        self.engine.dispose()

    def _row(self, record: Record) -> dict[str, object]:
        moment = record.modified_at.astimezone(ZoneInfo(self.settings.timezone) if self._naive else UTC)
        return {
            "id": record.crm_id,
            "modified_at": moment.replace(tzinfo=None) if self._naive else moment,
            "first_name": record.first_name,
            "email": record.email,
            "nickname": record.nickname,
            "is_deleted": record.deleted,
            "merged_into": record.merged_into,
        }

"""Query jobs of the Bulk API 2.0.

What belongs here: a job's states and the pages of its results.
"""

import csv
import io
import threading
from dataclasses import dataclass
from typing import Literal

from contact_sync.simulator.salesforce.errors import ApiError, Json
from contact_sync.simulator.salesforce.records import record_id
from contact_sync.simulator.salesforce.settings import OrgSettings
from contact_sync.simulator.salesforce.soql import Found, as_csv

State = Literal["UploadComplete", "InProgress", "JobComplete", "Failed", "Aborted"]


@dataclass(slots=True)
class Job:
    """One query job."""

    id: str
    operation: str
    found: Found
    state: State = "UploadComplete"
    polls: int = 0

    def json(self) -> Json:
        """Return what the API tells of it."""
        rows = len(self.found.rows)
        done = {"UploadComplete": 0, "InProgress": rows // 2}.get(self.state, rows)
        return {
            "id": self.id,
            "operation": self.operation,
            "object": self.found.object.name,
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
            "numberRecordsProcessed": done,
        }


@dataclass(frozen=True, slots=True)
class Results:
    """One page of results: CSV with its header line, rows, and where the next page is; `null` at the end."""

    text: bytes
    rows: int
    locator: str


class Jobs:
    """The query jobs of the organisation; safe to share between threads."""

    def __init__(self, settings: OrgSettings) -> None:
        self._settings = settings
        self._jobs: dict[str, Job] = {}
        self._opened = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._jobs)

    def create(self, operation: str, found: Found) -> Job:
        """Begin a job.

        Raises:
            ApiError: 400 for what a job cannot do.
        """
        if found.count is not None or found.counts:
            raise ApiError(400, "API_ERROR", "Aggregate Relationships not supported in Bulk Query")
        for column in found.columns:
            if column.field.type == "address":
                raise ApiError(400, "FEATURENOTENABLED", "Selecting compound data not supported in Bulk Query")
        with self._lock:
            self._opened += 1
            job = Job(record_id("750", self._opened), operation, found)
            self._jobs[job.id] = job
        return job

    def poll(self, job_id: str, *, fail: bool) -> Job:
        """Return a job, which goes on each time that it is asked after.

        Raises:
            ApiError: 404.
        """
        job = self._get(job_id)
        job.polls += 1
        if fail:
            job.state = "Failed"
        elif job.state in {"UploadComplete", "InProgress"}:
            job.state = "JobComplete" if job.polls > self._settings.job_polls else "InProgress"
        return job

    def results(self, job_id: str, locator: str, max_records: int | None, *, skip: bool = False) -> Results:
        """Return a page of results; `skip` leaves it out and returns the one after it.

        Raises:
            ApiError: 404 for another job, 400 for one that is not complete.
        """
        job = self._get(job_id)
        if job.state != "JobComplete":
            raise ApiError(400, "INVALIDJOBSTATE", "The job is not complete.")
        size = min(max_records or self._settings.job_rows, self._settings.job_rows)
        start = (int(locator) if locator.isdigit() else 0) + (size if skip else 0)
        rows = job.found.rows[start : start + size]
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(".".join(column.path) for column in job.found.columns)
        writer.writerows(as_csv(job.found.columns, row) for row in rows)
        end = start + len(rows)
        return Results(text.getvalue().encode(), len(rows), str(end) if end < len(job.found.rows) else "null")

    def delete(self, job_id: str) -> None:
        """Forget a job.

        Raises:
            ApiError: 404.
        """
        self._get(job_id)
        del self._jobs[job_id]

    def _get(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        return self._jobs[job_id]

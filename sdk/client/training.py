"""Calls to the trainer: pictures in, jobs, what a job wrote."""

from __future__ import annotations

from sdk.client.transport import Service
from sdk.errors import ConfigurationError
from sdk.spec.api import Health
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.training import FileList, JobList, JobView, TrainingRequest


class TrainingCalls:
    """The trainer's routes; mixed into `Client`. They need `trainer_url`."""

    _trainer: Service | None

    def trainer_health(self) -> Health:
        """GET /healthz of the trainer."""
        return self._needs_trainer().get("/healthz", Health)

    def put_picture(self, content: bytes) -> Digest:
        """PUT /v1/pictures/{digest}: upload a picture and return its digest."""
        digest = Digest.of(content)
        self._needs_trainer().put_bytes(f"/v1/pictures/{digest}", content)
        return digest

    def create_job(self, request: TrainingRequest) -> JobView:
        """POST /v1/jobs.

        Raises:
            PolicyDenied: consent or licence does not cover the training; no job exists.
        """
        return self._needs_trainer().post("/v1/jobs", request, JobView)

    def list_jobs(self) -> JobList:
        """GET /v1/jobs: the tenant's, newest first."""
        return self._needs_trainer().get_pages("/v1/jobs", JobList)

    def get_job(self, job: RecordId) -> JobView:
        """GET /v1/jobs/{id}."""
        return self._needs_trainer().get(f"/v1/jobs/{job}", JobView)

    def cancel_job(self, job: RecordId) -> JobView:
        """POST /v1/jobs/{id}/cancel. Repeatable."""
        return self._needs_trainer().post(f"/v1/jobs/{job}/cancel", None, JobView)

    def job_files(self, job: RecordId) -> FileList:
        """GET /v1/jobs/{id}/files."""
        return self._needs_trainer().get(f"/v1/jobs/{job}/files", FileList)

    def job_file(self, job: RecordId, name: str) -> bytes:
        """GET /v1/jobs/{id}/files/{name}."""
        return self._needs_trainer().get_bytes(f"/v1/jobs/{job}/files/{name}")

    def _needs_trainer(self) -> Service:
        if self._trainer is None:
            raise ConfigurationError("no trainer is known; add 'trainer = \"http://...\"' to the profile")
        return self._trainer

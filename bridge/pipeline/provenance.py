"""What lies beside each take: where it came from and how it was made, so that it can be understood and made again."""

from __future__ import annotations

import platform
from typing import Any

from bridge import __version__
from bridge.job import Call, Job, Take
from bridge.pipeline.prepare import Prepared

FORMAT = 1


def provenance(job: Job, call: Call | None, take: Take, prepared: Prepared | None) -> dict[str, Any]:
    """The content of `<stem>.clipbridge.json`."""
    source = None
    if prepared is not None:
        source = {
            "path": job.request.source,
            "frames": prepared.frames,
            "samplerate": prepared.samplerate,
            "frames_sha256": prepared.frames_sha256,
        }
    return {
        "clipbridge": __version__,
        "format": FORMAT,
        "python": platform.python_version(),
        "job": job.id,
        "made_at": job.updated_at,
        "request": job.request.model_dump(mode="json"),
        "provider": job.provider,
        "model": job.model,
        "provider_job_id": None if call is None else call.provider_job_id,
        "seed": take.seed,
        "estimated_usd": 0.0 if call is None else call.estimated_usd,
        "charged_usd": 0.0 if call is None else call.charged_usd,
        "source": source,
        "take": {
            "number": take.take,
            "sha256": take.sha256,
            "frames": take.frames,
            "samplerate": take.samplerate,
            "channels": take.channels,
            "subtype": take.subtype,
            "lufs": take.lufs,
            "source_lufs": take.source_lufs,
            "true_peak_dbtp": take.true_peak_dbtp,
        },
        "notes": list(take.notes),
    }

"""The log: rotating JSON lines in the home folder, one object an event, so that both people and programs can read it."""

from __future__ import annotations

import json
import logging
import logging.handlers
from pathlib import Path
from typing import Any

from bridge.job import timestamp

FILE_MAX_BYTES = 2_000_000
FILES_KEPT = 5


class JsonLines(logging.Formatter):
    """One JSON object a record: `at`, `level`, `from`, `message`, then the record's own `facts`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": timestamp(record.created),
            "level": record.levelname.lower(),
            "from": record.name.removeprefix("bridge."),
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def start(path: Path, *, level: int = logging.INFO) -> logging.Handler:
    """Lets everything below `bridge` (and what libraries warn of) go to the log file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=FILE_MAX_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True
    )
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("bridge").setLevel(level)
    return handler


def stop(handler: logging.Handler) -> None:
    logging.getLogger().removeHandler(handler)
    handler.close()

"""Collects what was measured, shows it as a table and writes it as JSON with the facts of the machine.

Which limits there are is said by the groups; here they are only compared.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

LIBRARIES: Final = (
    "soundfile", "soxr", "numpy", "SQLAlchemy", "pydantic", "fastapi", "uvicorn", "watchdog", "typer", "rich",
)  # fmt: skip
DIGITS: Final = {"s": 3, "ms": 1, "MB": 1, "×": 2, "%": 2, "": 0}


@dataclass(frozen=True)
class Finding:
    """One number: `limit` is the largest that is good enough, None where it is only told."""

    group: str
    what: str
    measured: float
    unit: str
    limit: float | None = None
    detail: str = ""

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return "–"
        return "within" if self.measured <= self.limit else "over"


@dataclass
class Report:
    """All that one run found."""

    quick: bool
    findings: list[Finding] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    load_before: float | None = field(default_factory=lambda: _load())
    console: Console = field(default_factory=lambda: Console(highlight=False))

    def announce(self, text: str) -> None:
        """Says what is being done, for whoever waits."""
        self.console.print(f"[dim]{datetime.now():%H:%M:%S}[/dim] {text}")

    def add(
        self, group: str, what: str, measured: float, unit: str, limit: float | None = None, detail: str = ""
    ) -> None:
        self.findings.append(Finding(group, what, measured, unit, limit, detail))

    def keep(self, name: str, samples: list[float]) -> None:
        """Keeps single measurements for the JSON."""
        self.samples[name] = [round(sample, 6) for sample in samples]

    def keep_stages(self, name: str, seconds: dict[str, float]) -> None:
        """Keeps where the time of one way went, by stage."""
        self.stages[name] = seconds

    def failed(self, group: str, why: str) -> None:
        self.failures[group] = why.strip()
        self.console.print(f"[bold red]{group} did not work:[/] {why.strip()}", markup=True)

    def show(self) -> None:
        table = Table(title="clipbridge, measured" + (" (quick: a smoke test, no measurement)" if self.quick else ""))
        for name, side in (("what", "left"), ("measured", "right"), ("limit", "right"), ("verdict", "left")):
            table.add_column(name, justify=side)  # type: ignore[arg-type]
        group = None
        for finding in self.findings:
            if group not in (None, finding.group):
                table.add_section()
            group = finding.group
            colour = {"within": "green", "over": "red"}.get(finding.verdict, "dim")
            what = finding.what + (f"\n[dim]{finding.detail}[/]" if finding.detail else "")
            limit = "" if finding.limit is None else f"≤ {_number(finding.limit, finding.unit)}"
            table.add_row(what, _number(finding.measured, finding.unit), limit, f"[{colour}]{finding.verdict}[/]")
        for name, why in self.failures.items():
            table.add_section()
            table.add_row(f"{name}: {why.splitlines()[-1]}", "", "", "[bold red]did not work[/]")
        self.console.print(table)
        if self.stages:
            self._show_stages()
        self.console.print(f"[dim]{_sentence(machine())}[/]")

    def _show_stages(self) -> None:
        stages = list(dict.fromkeys(stage for row in self.stages.values() for stage in row))
        table = Table(title="where the time goes: until this was told, ms (p50)")
        table.add_column("way")
        for stage in stages:
            table.add_column(stage, justify="right")
        for name, row in self.stages.items():
            table.add_row(name, *(f"{row[stage] * 1e3:.0f}" if stage in row else "" for stage in stages))
        self.console.print(table)

    def write(self, path: Path) -> None:
        """Writes the JSON: `quick, at, machine, load_before, findings, stages_seconds, samples, failures`."""
        document = {
            "quick": self.quick,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "load_before": self.load_before,
            "findings": [{**asdict(finding), "verdict": finding.verdict} for finding in self.findings],
            "stages_seconds": self.stages,
            "samples": self.samples,
            "failures": self.failures,
        }
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def machine() -> dict[str, Any]:
    """What of this computer the numbers depend on; nothing that names it or its owner."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }


def spread(samples: list[float]) -> str:
    """The middle of the measurements and where four fifths of them lie, in milliseconds."""
    ordered = sorted(samples)
    high = ordered[-1 - len(ordered) // 10]
    return f"p50 {median(ordered) * 1e3:.0f} ms, most {quiet(ordered) * 1e3:.0f} to {high * 1e3:.0f}, n {len(ordered)}"


def quiet(samples: list[float]) -> float:
    """What it takes when nothing else runs on the computer: a tenth of the measurements is below it."""
    return sorted(samples)[len(samples) // 10]


def _number(value: float, unit: str) -> str:
    return f"{value:,.{DIGITS[unit]}f} {unit}".rstrip()


def _sentence(facts: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    return f"{facts['system']}, {facts['cores']} cores, Python {facts['python']}, SQLite {facts['sqlite']}, {libraries}"


def _load() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None

"""`python -m benchmarks [NAME…] [--quick] [--json FILE]`: runs the measurements, prints a table, writes JSON.

Only the command; what is measured stands in the modules that `GROUPS` names.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from pathlib import Path
from typing import Final

from benchmarks.harness import Failed
from benchmarks.report import Report

GROUPS: Final = {
    "round_trip": "one 30-second clip over HTTP, folder and command line, against a straight script",
    "ready": "the start, and what an idle daemon costs",
    "history": "100,000 jobs in the history",
    "many": "1,000 clips dropped at once",
    "hour": "a file of 60 minutes",
}
RESULTS: Final = Path(__file__).parent / "results"


def main() -> int:
    """Exit status 0 whatever the verdicts are; 1 where something did not work."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures clipbridge on this computer.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(GROUPS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a small share of each: whether it works, not how fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the JSON goes (default: benchmarks/results/)")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in GROUPS]
    if unknown:
        parser.error(f"there is no benchmark called {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    report = Report(quick=given.quick)
    for name in given.names or GROUPS:
        report.announce(f"{name}: {GROUPS[name]}")
        try:
            importlib.import_module(f"benchmarks.{name}").measure(report, quick=given.quick)
        except Failed as failed:
            report.failed(name, str(failed))
        except Exception:
            # one group's defect is no reason to keep the others' numbers back
            report.failed(name, traceback.format_exc())
    report.show()
    target = given.json or RESULTS / ("quick.json" if given.quick else "latest.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    report.write(target)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())

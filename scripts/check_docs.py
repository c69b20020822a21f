"""Checks that README, CONTRIBUTING, CHANGELOG and docs/ keep their word: links lead somewhere, commands exist.

It asks the installed `clipbridge` for its help and says each wrong link, command or option with file and line; whether
the prose is true, a person has to read.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\s*\[[^\]]+\]:\s*<?(\S+?)>?\s*$|(?:src|href)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
FENCE = re.compile(r"^\s*(?:```|~~~)(.*)$")
SHELLS = {"", "sh", "bash", "shell", "console", "text"}
# a command stands at the start of a line or of inline code, or after a prompt, a pipe or a variable that is set for it
COMMAND = re.compile(
    r"(?:^|[|;&]\s*|\$ |sudo )\s*(?:[A-Z_]+=\S+\s+)*(?:\.venv/bin/)?(clipbridge|make)(?=\s|$)([^;&#]*)"
)
WORD = re.compile(r"^[a-z][a-z0-9_-]*$")
OPTION = re.compile(r"^--[a-z][a-z0-9-]*")


def main() -> int:
    pages = [page for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md") if (page := ROOT / name).is_file()]
    pages += sorted((ROOT / "docs").rglob("*.md"))
    links = commands = 0
    wrong: list[str] = []
    for page in pages:
        for number, line, code in _lines(page):
            place = f"{page.relative_to(ROOT)}:{number}"
            for target in [] if code else _links(line):
                links += 1
                if complaint := _wrong_link(page, target):
                    wrong.append(f"{place}: {complaint}")
            for program, words in _commands(line, code):
                commands += 1
                if complaint := _wrong_make(words) if program == "make" else _wrong_command(words):
                    wrong.append(f"{place}: {complaint}")
    for complaint in wrong:
        print(complaint)
    print(f"{len(pages)} pages, {links} links, {commands} commands: {len(wrong)} wrong")
    return 1 if wrong or not pages else 0


def _lines(page: Path) -> Iterator[tuple[int, str, bool]]:
    """Number, text, and whether it is code of a shell; lines of other code are left out."""
    language: str | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if fence := FENCE.match(line):
            language = fence[1].strip().lower() if language is None else None
        elif language is None:
            yield number, line, False
        elif language in SHELLS:
            yield number, line, True


# ------------------------------------------------------------------------------------------------ links


def _links(line: str) -> list[str]:
    without_code = re.sub(r"`[^`]*`", "", line)
    return [
        target for found in LINK.findall(without_code) for target in found if target and not ELSEWHERE.match(target)
    ]


def _wrong_link(page: Path, target: str) -> str | None:
    name, _, anchor = unquote(target).partition("#")
    file = (page.parent / name).resolve() if name else page
    if not file.is_relative_to(ROOT) or not file.exists():
        return f"the link {target} leads nowhere"
    if anchor and file.suffix == ".md" and anchor not in _anchors(file):
        return f"{file.relative_to(ROOT)} has no heading for #{anchor}"
    return None


@cache
def _anchors(page: Path) -> frozenset[str]:
    """The names that headings get where Markdown is shown: lower case, blanks as hyphens, other signs left out."""
    headings = [line.lstrip("#").strip() for _, line, code in _lines(page) if not code and re.match(r"#{1,6}\s", line)]
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


# ------------------------------------------------------------------------------------------------ commands


def _commands(line: str, code: bool) -> Iterator[tuple[str, list[str]]]:
    for text in [line] if code else re.findall(r"`([^`]+)`", line):
        for found in COMMAND.finditer(text):
            yield found[1], found[2].split()


def _wrong_make(words: list[str]) -> str | None:
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    unknown = [word for word in words[:1] if WORD.match(word) and word not in rules]
    return f"there is no `make {unknown[0]}`" if unknown else None


def _wrong_command(words: list[str]) -> str | None:
    """Follows the words down the tree of commands as far as it goes, then looks for each option in the help there."""
    path: tuple[str, ...] = ()
    help_text = _help(path)
    if help_text is None:
        return "`clipbridge --help` does not work"
    for word in words:
        names = word.strip("[]").split("|")  # `jobs list|show` names two
        if not _has_commands(help_text) or not all(WORD.match(name) for name in names):
            break
        for name in names:
            below = _help((*path, name))
            if below is None:
                return f"there is no command `clipbridge {' '.join((*path, name))}`"
            help_text = below
        path = (*path, names[-1])
    for word in words:
        option = OPTION.match(word.lstrip("[("))
        if option and not re.search(re.escape(option[0]) + r"(?![\w-])", help_text + (_help(()) or "")):
            return f"`clipbridge {' '.join(path)}` has no option {option[0]}"
    return None


def _has_commands(help_text: str) -> bool:
    return re.search(r"^\W*Commands\b", help_text, re.MULTILINE) is not None


@cache
def _help(path: tuple[str, ...]) -> str | None:
    """The help of a command, wide enough that no option is broken; None if there is no such command."""
    plain = {
        **os.environ,
        "COLUMNS": "300",
        "TERMINAL_WIDTH": "300",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PYTHONUTF8": "1",
    }
    asked = [sys.executable, "-m", "bridge", *path, "--help"]
    answered = subprocess.run(asked, cwd=ROOT, env=plain, capture_output=True, text=True, encoding="utf-8", check=False)
    return answered.stdout if answered.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())

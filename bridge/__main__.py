"""`python -m bridge` is the same as the command `clipbridge`.

What the command does is `bridge.cli`'s.
"""

from __future__ import annotations

from bridge.cli import main

if __name__ == "__main__":
    main()

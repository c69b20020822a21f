"""Clipbridge: turns a clip into what its producer asks for, and hands back a take that fits the same hole.

Holds the version only, so that importing the package costs nothing; each room is imported by who needs it.
"""

__version__ = "0.1.0"

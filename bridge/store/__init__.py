"""What the bridge remembers, in one database file: jobs, calls, takes, events, the ledger, and what the folders have seen."""

from bridge.store.database import Database
from bridge.store.jobs import JobStore, Page

__all__ = ["Database", "JobStore", "Page"]

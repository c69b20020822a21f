"""The ways in besides HTTP: each turns what a person did into a request, and tells the answer where they look.

A trigger knows intake, the events and the store's reading side, never another trigger.
"""

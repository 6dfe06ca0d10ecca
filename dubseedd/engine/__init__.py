"""Blocking file work, run in threads: no asyncio, no D-Bus."""

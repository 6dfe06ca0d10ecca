"""The pure part: facts in, decisions out. No I/O, no clock, no asyncio, nothing from third parties."""

"""systemd, told how we are: sd_notify(3). Without a service manager nothing is said and nothing fails."""

import os
import time
from contextlib import suppress

from systemd import daemon


class ServiceManager:
    """The service manager that started us, if any."""

    def ready(self, status: str) -> None:
        self._notify(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        self._notify(f"STATUS={status}")

    def reloading(self) -> None:
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._notify("STOPPING=1\nSTATUS=Stopping")

    def watchdog(self) -> None:
        self._notify("WATCHDOG=1")

    def watchdog_interval_seconds(self) -> float | None:
        """How often to pet the watchdog: half of its limit; None where there is none for this process."""
        limit = os.environ.get("WATCHDOG_USEC", "")
        if not limit.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        return int(limit) / 2_000_000

    @staticmethod
    def _notify(state: str) -> None:
        with suppress(OSError):
            daemon.notify(state)

"""systemd, told how we are: sd_notify(3). Without a service manager nothing is said and nothing fails."""

import os
import time
from contextlib import suppress

from systemd import daemon


class ServiceManager:
    """The service manager that started us, if any."""

    def ready(self, status: str) -> None:
        self._notify("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        self._notify(f"STATUS={status}")

    def reloading(self) -> None:
        self._notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._notify("STOPPING=1", "STATUS=Stopping")

    def watchdog(self) -> None:
        self._notify("WATCHDOG=1")

    def watchdog_interval_seconds(self) -> float | None:
        """How often to pet the watchdog: half of its limit; None where there is none for this process."""
        limit = os.environ.get("WATCHDOG_USEC", "")
        if not limit.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        return int(limit) / 2_000_000 or None

    @staticmethod
    def _notify(*assignments: str) -> None:
        """Each is one line: a status must not be able to say anything else."""
        with suppress(OSError):
            daemon.notify("\n".join(" ".join(each.splitlines()) for each in assignments))

"""The daemon and its bus."""

import os
from pathlib import Path

import pytest

from dubseedd.adapters.bus import RemoteError
from dubseedd.adapters.journal import QueuedRecorder
from dubseedd.core.config import Config, StoreConfig
from dubseedd.daemon import Daemon
from dubseedd.engine.store import Store
from dubseedd.names import BUS_NAME
from tests.conftest import Connect


async def test_a_connection_that_does_not_get_the_name_is_closed(
    bus_address: str, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have the name for a while after the bus was restarted; asking again must not cost a descriptor."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    other = await connect()
    await other.request_name(BUS_NAME)
    store = Store(str(tmp_path / "store"))
    daemon = Daemon(Config(store=StoreConfig(store.path)), None, store, QueuedRecorder([]))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(RemoteError, match="has an owner already"):
            await daemon._connect()
    assert len(os.listdir("/proc/self/fd")) == before
    store.close()

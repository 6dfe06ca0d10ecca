"""Our own D-Bus interface: names, signatures, forwarding. It holds no logic."""

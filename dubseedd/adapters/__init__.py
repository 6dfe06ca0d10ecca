"""One neighbour each: bus, udev, UDisks2, journal, service manager. What they speak stays in here."""

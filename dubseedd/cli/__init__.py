"""dubseedctl: a client of the bus, and the same engine without one."""

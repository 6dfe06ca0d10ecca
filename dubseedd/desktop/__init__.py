"""dubseed-notify: what goes on, told on the desktop of whoever is logged in."""

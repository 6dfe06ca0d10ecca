"""dubseedd: plug in a seed and wait. Verified model bundles from a USB stick into the local store."""

__version__ = "0.1.0"

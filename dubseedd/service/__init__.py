"""The conductor: it owns the state, on one loop, and reaches the world through its ports."""

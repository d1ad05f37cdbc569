"""Many machines: Ray reads documents into one index."""

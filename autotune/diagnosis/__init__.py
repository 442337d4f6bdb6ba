"""What about this machine will spoil measurements, and what to do about it."""

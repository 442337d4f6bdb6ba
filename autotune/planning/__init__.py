"""From tuned files, a trace and a price list to a fleet: how many machines, when, at what cost."""

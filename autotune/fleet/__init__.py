"""The same search on every machine type of a Ray cluster. Only `cluster` knows Ray."""

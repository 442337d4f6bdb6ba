"""Machines on paper: servers and a GPU as laws, for searches, agents and tests without hardware."""

"""Faults, tried and counted: what is lost, wrong or left behind when a search goes wrong."""

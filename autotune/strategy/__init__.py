"""WHICH point next: the search, which sees points and outcomes only.

In scope: what to measure, when to stop, who wins. Out of scope: how anything is measured.
"""

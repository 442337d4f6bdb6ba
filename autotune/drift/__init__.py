"""Does a deployed policy still fit what is observed? From requests alone, with stated errors.

`blocks` cuts the record into stretches that are nearly independent, `promised` says what each
should keep, `tests` asks whether it does, `judge` makes the answer of it, `advice` the next step.
"""

"""Imported before NumPy: one BLAS thread, as matrices are small here and a second only spins."""

import pytest

# Taken back at once: what children measure, they measure as users do.
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("OPENBLAS_NUM_THREADS", "1")
    import numpy  # noqa: F401
    import scipy.linalg  # noqa: F401

"""The command line: ``nvrc-ref``. Thin: it parses, calls the packages that do the work, and renders.

NumPy's OpenBLAS gets one thread here, before NumPy is first imported: the context network's products are far too small
to share out, and its idle threads spin on the cores that synthesis runs on (a third of the frame rate on two cores,
see docs/decisions/0021-one-openblas-thread.md). A value in the environment wins.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

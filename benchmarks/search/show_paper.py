"""Show a paper's best configurations beside the predicted ones.

python -m search.show_paper cpu 100000 0      (from benchmarks/)
"""

import sys

import numpy as np

from autotune.paper.machines import cpu_paper, gpu_paper


def main(arguments: list[str]) -> None:
    """Show `cpu` or `gpu`, of about so many points, with the model drawn by a seed."""
    kind, points, seed = arguments[0], int(arguments[1]), int(arguments[2])
    paper = gpu_paper(points, seed) if kind == "gpu" else cpu_paper(64, points, seed)
    print(f"{paper.name}; {paper.slo}; profile {paper.profile_s:.0f} s")
    for load, load_rps in enumerate(paper.loads_rps):
        true_s = paper.true_s[load]
        best = int(np.nanargmin(true_s))
        guess = int(np.argmin(paper.predicted_s[load]))
        for word, point in (("best", best), ("predicted", guess), ("default", 0)):
            config = paper.configs[point].describe()
            print(f"{load_rps:>9,.0f}/s {word:<10}{1e3 * true_s[point]:>10,.2f} ms  {config}")


if __name__ == "__main__":
    main(sys.argv[1:])

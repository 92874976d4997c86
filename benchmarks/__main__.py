"""`python -m benchmarks [NAME…]`: run the named benchmarks; without a name, all but the soak, which takes its time.

What one of them may be told is told by `python -m benchmarks.<name>`.
"""

import importlib
import sys

BENCHMARKS = {
    "platform": "benchmarks.platform",
    "serving": "benchmarks.serving.__main__",
    "soak": "benchmarks.soak.__main__",
}


def main() -> int:
    wanted = sys.argv[1:] or ["platform", "serving"]
    del sys.argv[1:]
    unknown = sorted(set(wanted) - set(BENCHMARKS))
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}.")
        return 2
    worst = 0
    for name in wanted:
        print(f"\n━━ {name} ━━", flush=True)
        worst = max(worst, importlib.import_module(BENCHMARKS[name]).main() or 0)
    return worst


if __name__ == "__main__":
    sys.exit(main())

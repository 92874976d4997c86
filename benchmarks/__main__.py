"""`python -m benchmarks [NAME…]`: run every benchmark, or those named."""

import importlib
import pkgutil
import sys

import benchmarks


def main() -> int:
    there = sorted(
        module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")
    )
    wanted = sys.argv[1:] or there
    del sys.argv[1:]  # what a benchmark itself may be told is told by `python -m benchmarks.<name>`
    unknown = sorted(set(wanted) - set(there))
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(there)}.")
        return 2
    for name in wanted:
        print(f"\n━━ {name} ━━", flush=True)
        importlib.import_module(f"benchmarks.{name}.__main__" if found[name] else f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())

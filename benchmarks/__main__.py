"""`python -m benchmarks [NAME…]`: run every benchmark, or those named."""

import importlib
import pkgutil
import sys

import benchmarks


def main() -> int:
    found = {module.name: module.ispkg for module in pkgutil.iter_modules(benchmarks.__path__)}
    there = sorted(name for name in found if not name.startswith("_"))
    wanted = sys.argv[1:] or there
    del sys.argv[1:]  # what a benchmark itself may be told is told by `python -m benchmarks.<name>`
    unknown = sorted(set(wanted) - set(there))
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(there)}.")
        return 2
    for name in wanted:
        print(f"\n━━ {name} ━━", flush=True)
        module = f"benchmarks.{name}.__main__" if found[name] else f"benchmarks.{name}"
        importlib.import_module(module).main()
    return 0


if __name__ == "__main__":
    sys.exit(main())

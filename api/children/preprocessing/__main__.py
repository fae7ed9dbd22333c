"""`python -m api.children.preprocessing PLAN`: exit code 0 and a `done` event, or a `fault` event and 1."""

from __future__ import annotations

import sys


def main(path: str) -> int:
    from api.children.preprocessing.captions import Captions
    from api.children.preprocessing.converter import Converter
    from api.children.preprocessing.plan import Plan, read_key
    from api.children.preprocessing.problems import Fatal
    from api.children.preprocessing.report import Report
    from api.children.preprocessing.run import Run

    plan = Plan.read(path)
    key = read_key(plan.key_pipe)
    report = Report([key])
    converter = Converter(plan.limits)
    try:
        Run(plan, report, Captions(plan, report, key), converter).go()
    except Fatal as problem:
        report.fault(str(problem))
        return 1
    finally:
        converter.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

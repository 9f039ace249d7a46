"""``python -m planorder reproduce NAME``: tables and figures of Kim et al. done again, theirs beside ours."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from planorder.console import command_line, resumable, use_all_cores
from planorder.reproductions.imbalance import plan_imbalance
from planorder.reproductions.orders import plan_orders
from planorder.reproductions.paper import Table, target
from planorder.reproductions.plan import Plan, Reproduce, finish
from planorder.reproductions.tables import plan_table
from planorder.results.points import open_points
from puzzles.base import UserInputError

EXAMPLES = """  python -m planorder reproduce table2
  python -m planorder reproduce table5 --n 1000 --out runs/hard
  python -m planorder reproduce table3 --weights runs/weights
  python -m planorder reproduce figure2_left --flops 1e11,1e12 --repeats 5
  python -m planorder reproduce figure2_right
  python -m planorder reproduce table2 --routing
  python -m planorder reproduce table2 --scale paper --weights runs/paper --device cuda --n 10000 \\
      --out runs/paper/table2"""
PLANS = {"figure2_left": plan_orders, "figure2_right": plan_imbalance}
"""How each figure is done; tables are all done in one way."""


def planned(args: Reproduce) -> Plan:
    """What the name asks for, checked.

    Raises:
        UserInputError: an unknown name, a number out of range, or weights that are not there.
    """
    found = target(args.name)
    if args.n is not None and args.n < 1:
        raise UserInputError(f"--n {args.n}: expected at least 1")
    if args.seed < 0:
        raise UserInputError(f"--seed {args.seed}: expected 0 or more")
    for option in ("flops", "repeats"):
        if getattr(args, option) is not None and args.name != "figure2_left":
            raise UserInputError(f"--{option} with {args.name}: expected none; it is for figure2_left")
    if args.name == "figure2_left" and args.weights:
        raise UserInputError(f"--weights with {args.name}: expected none; it trains its own networks")
    if args.routing and not isinstance(found, Table):
        raise UserInputError(f"--routing with {args.name}: expected none; it is for tables")
    return plan_table(args, found) if isinstance(found, Table) else PLANS[args.name](args)


def run_reproduce(args: Reproduce) -> None:
    """Checks what was asked, does what is missing, writes table, figure and manifest, prints the report."""
    use_all_cores()
    plan, out = planned(args), args.out or Path(f"runs/reproduce-{args.name}")
    settings = {
        "command": f"reproduce {args.name}",
        "planorder": version("planorder"),
        "scale": args.scale,
        "seed": args.seed,
        **plan.settings,
    }
    with open_points(out, settings) as folder, resumable(out):
        report = plan.work(folder)
        finish(folder, args.name, report)
    print(f"{report.text}\n\nfolder: {out} ({args.name}.csv, {args.name}.png)")


def main() -> None:
    """The command line."""
    command_line("planorder reproduce", Reproduce, run_reproduce, EXAMPLES)


if __name__ == "__main__":
    main()

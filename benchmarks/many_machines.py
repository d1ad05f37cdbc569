"""What it takes to read and keep texts of many sizes: computed, from figures that are given.

    python benchmarks/many_machines.py
    python benchmarks/many_machines.py --speed 10000 --dollars 3.5 --bytes 185

Nothing is measured here. Reading is tokens over tokens a second, whatever number of workers shares
it; an hour of a worker costs the same whether many read for a short time or few for long.
"""

from __future__ import annotations

import argparse

SIZES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)


def row(tokens: int, args: argparse.Namespace) -> str:
    """A row of the table in docs/many-machines.md."""
    hours = tokens / args.speed / 3600
    shards = max(1, -(-tokens // args.shard))
    return (
        f"| {tokens:,} | {hours:,.2f} | {hours * args.dollars:,.2f} | "
        f"{hours / args.workers * 60:,.1f} | {tokens * args.bytes / 1e9:,.2f} | {shards:,} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speed", type=float, default=10_000, help="tokens a second of a worker")
    parser.add_argument("--dollars", type=float, default=3.5, help="of an hour of a worker")
    parser.add_argument("--bytes", type=float, default=185, help="a token in the index")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--shard", type=int, default=50_000_000, help="tokens of a shard")
    args = parser.parse_args()
    print(f"| tokens | worker hours | dollars | minutes, {args.workers} workers | GB | shards |")
    print("| --- | --- | --- | --- | --- | --- |")
    for tokens in SIZES:
        print(row(tokens, args))


if __name__ == "__main__":
    main()

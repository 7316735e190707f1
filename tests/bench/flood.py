#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs `flood` and says which share of the established flows kept their entries.

Fails where fewer than 99.9 % did, or where a table without probation kept half of them: then the
flood was none. `--svg FILE` draws both over the packets of the flood; `--from FILE` takes what an
earlier run has printed, which takes minutes in full size.
"""
import argparse
import json
import subprocess
import sys

GOAL_PERCENT = 99.9
CARELESS_BELOW_PERCENT = 50
TEXT = {"syn": "SYN", "ack": "single ACK", "udp": "single UDP"}
SIDES = {"probation": "as it is", "careless": "probation off"}
COLOURS = {"syn": "#1b6ca8", "ack": "#c2570c", "udp": "#3f7d20"}
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 360, 60, 20, 190, 50


def measure(program, flows, packets, seed=1, timeout=None):
    """What `flood` says, of so many flows and packets of each shape."""
    command = [program, "--flows", str(flows), "--packets", str(packets), "--seed", str(seed)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         timeout=timeout, check=False)
    if run.returncode:
        sys.exit(f"flood: {' '.join(command)} failed:\n{run.stderr[-2000:]}")
    return json.loads(run.stdout)


def met(shape):
    return (shape["probation"]["kept_percent"] >= GOAL_PERCENT and
            shape["careless"]["kept_percent"] < CARELESS_BELOW_PERCENT)


def report(said):
    """Lines of text about one run."""
    yield (f"{said['flows']} established flows, {said['packets']} packets of each flood, "
           f"seed {said['seed']}; kept:")
    for name, shape in said["shapes"].items():
        sides = ", ".join(f"{text} {shape[side]['kept_percent']:.3f} % "
                          f"({shape[side]['pps'] / 1e6:.1f} Mpps)" for side, text in SIDES.items())
        yield f"  {TEXT[name]:11} {sides}{'' if met(shape) else '  NOT MET'}"


# --- The plot ------------------------------------------------------------------------------

def place(share, percent):
    """Where in the picture a point is: share of the flood, percent of the flows."""
    return (LEFT + share * (WIDTH - LEFT - RIGHT),
            TOP + (1 - percent / 100) * (HEIGHT - TOP - BOTTOM))


def text_at(x, y, text, anchor="start"):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{text}</text>'


def grid(packets):
    right, _ = place(1, 0)
    for percent in range(0, 101, 25):
        _, y = place(0, percent)
        yield f'<path d="M{LEFT} {y:.1f}H{right:.1f}" stroke="#ddd"/>'
        yield text_at(LEFT - 8, y + 4, f"{percent} %", "end")
    for quarter in range(5):
        x, y = place(quarter / 4, 0)
        yield text_at(x, y + 18, f"{packets * quarter / 4 / 1e6:g} M", "middle")
    x, y = place(0.5, 0)
    yield text_at(x, y + 38, "packets of the flood", "middle")


def line(row, name, side, kept):
    """One curve, and beside the picture what it is. The three that lie on one another at the top
    are dashed at different places, so that each can be seen."""
    points = (place(t / (len(kept) - 1), percent) for t, percent in enumerate(kept))
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dash = (f'stroke-dasharray="10 20" stroke-dashoffset="{-10 * row}" stroke-width="4"'
            if side == "probation" else 'stroke-width="1.5"')
    style = f'stroke="{COLOURS[name]}" fill="none" {dash}'
    x, y = WIDTH - RIGHT + 14, TOP + 10 + 22 * row
    yield f'<path d="M{path}" {style}/>'
    yield f'<path d="M{x} {y}h30" {style}/>'
    yield text_at(x + 38, y + 4, f"{TEXT[name]}, {SIDES[side]}")


def svg(said):
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="12">')
    yield f"<title>Established flows that keep their entry, of {said['flows']}</title>"
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    yield from grid(said["packets"])
    row = 0
    for side in SIDES:
        for name, shape in said["shapes"].items():
            yield from line(row, name, side, shape[side]["kept"])
            row += 1
    yield "</svg>"


def main():
    parser = argparse.ArgumentParser(description="floods a flow table; see docs/performance.md")
    parser.add_argument("program", help="the built `flood`")
    parser.add_argument("--flows", type=int, default=1000000)
    parser.add_argument("--packets", type=int, default=100000000, help="of each shape")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="saved", metavar="FILE", help="what the program has printed")
    parser.add_argument("--svg", metavar="FILE", help="draw it there")
    args = parser.parse_args()

    if args.saved:
        with open(args.saved, encoding="utf-8") as file:
            said = json.load(file)
    else:
        said = measure(args.program, args.flows, args.packets, args.seed)
    print("\n".join(report(said)))
    if args.svg:
        with open(args.svg, "w", encoding="utf-8") as file:
            file.write("\n".join(svg(said)) + "\n")
    return 0 if all(map(met, said["shapes"].values())) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What adapting gives, by number of pictures: python benchmarks/adapting.py DATA [--counts 5 10 …] [--draws 6] [--plot FILE].

Domains that the embedded network is weak in are made of DATA's pictures, and one is drawn: dim (blue light, little of it,
and noise), lying (a quarter turn), shapes (the blue ones among shapes of all colours, on a mottled ground). `same` are
the pictures as they are, where there is little to gain. Figures: mean IoU on pictures that were not learnt from, of the
method `small` and of what `figureground adapt` wrote, with the same refiner. `--draws` learns from other pictures each time
and tells how the change is spread. To add a domain: a row in `DOMAINS`.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from common import report
from figureground import Method, Separator
from figureground.evaluation.dataset import LabeledImage, labeled_images
from figureground.evaluation.evaluate import evaluate
from figureground.settings import Settings
from figureground.training.adapt.adapt import adapt, chosen, held_back, ious, refit
from figureground.training.adapt.bases import Own
from figureground.training.adapt.head import LinearLearner, Views
from figureground.training.adapt.views import collect_views, read

Labeled = tuple[np.ndarray, np.ndarray]


def dim(rgb: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> Labeled:
    light = rgb / 255 * np.array([0.10, 0.16, 0.22]) + 0.02 + random.normal(0, 0.02, rgb.shape)
    return np.clip(light * 255, 0, 255).astype(np.uint8), mask


def lying(rgb: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> Labeled:
    return np.rot90(rgb).copy(), np.rot90(mask).copy()


def same(rgb: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> Labeled:
    return rgb, mask


def shapes(rgb: np.ndarray, mask: np.ndarray, random: np.random.Generator, side: int = 256) -> Labeled:
    picture = np.full((side, side, 3), random.uniform(80, 170, 3), np.float32)
    for cells in (4, 8, 16, 32, 64):
        mottled = random.normal(0, 20, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(mottled, (side, side), interpolation=cv2.INTER_CUBIC)
    truth = np.zeros((side, side), np.uint8)
    for number in range(random.integers(4, 9)):
        blue = number == 0 or random.random() < 0.3
        high, low = random.uniform(150, 255), random.uniform(0, 80)
        color = (low, random.uniform(0, 100), high) if blue else (high, random.uniform(0, 255), low)
        shape = np.zeros((side, side), np.uint8)
        center = random.integers(30, side - 30, 2)
        if random.random() < 0.5:
            axes = tuple(random.integers(12, 40, 2).tolist())
            cv2.ellipse(shape, center.tolist(), axes, random.uniform(0, 180), 0, 360, 255, -1)
        else:
            cv2.fillPoly(shape, [(center + random.integers(-40, 40, (4, 2))).astype(np.int32)], 255)
        picture[shape > 0], truth[shape > 0] = color, 255 * blue
    return np.clip(picture + random.normal(0, 6, picture.shape), 0, 255).astype(np.uint8), truth


DOMAINS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Labeled]] = {
    "dim": dim,
    "lying": lying,
    "shapes": shapes,
    "same": same,
}


def altered(pair: LabeledImage, number: int, domain: str) -> LabeledImage:
    """The pair as the domain has it, made when it is read; the same each time."""

    def load(which: int) -> bytes:
        buffer = io.BytesIO()
        made = DOMAINS[domain](*pair.read(), np.random.default_rng(number))
        Image.fromarray(made[which]).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    return LabeledImage(f"{domain}/{pair.key}", partial(load, 0), partial(load, 1))


def iou(method: Method | str, unseen: list[LabeledImage]) -> float:
    separate = Separator(method, Settings.from_environment())
    return float(evaluate(lambda rgb: separate(rgb).mask, unseen).mean["iou"])


def series(domain: str, args: argparse.Namespace) -> list[dict[str, object]]:
    """The IoU of the method, and of what was adapted with more and more pictures."""
    known = labeled_images(args.data)
    order = np.random.default_rng(args.seed).permutation(len(known))
    learnt = [known[i] for i in order[: max(args.counts) + args.unseen]]
    data = [altered(pair, number, domain) for number, pair in enumerate(learnt)]
    unseen = data[max(args.counts) :]
    rows: list[dict[str, object]] = [{"domain": domain, "pictures": 0, "IoU": f"{iou('subject', unseen):.3f}"}]
    for count in args.counts:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "own.onnx")
            done = adapt(data[:count], out, deep=args.deep, minutes=args.minutes, quiet=True)
            after = iou(Method("adapted", "salient", "clean", {"weights": str(out)}), unseen)
        held = f"{done.iou_before:.3f} → {done.iou_after:.3f}"
        row = {"IoU": f"{after:.3f}", "held back": held, "adopted": done.adopted, "seconds": f"{done.seconds:.0f}"}
        rows.append({"domain": domain, "pictures": count, **row})
        print(rows[-1], flush=True)
    return rows


def spread(domain: str, args: argparse.Namespace) -> list[dict[str, object]]:
    """How adapting changes the IoU when other pictures are learnt from each time; as adapt does it, without writing a file."""
    known, most = labeled_images(args.data), max(args.counts)
    order = np.random.default_rng(args.seed).permutation(len(known))[: most * args.draws + args.unseen]
    base = Own()
    samples = read([altered(known[i], number, domain) for number, i in enumerate(order)], base.size, True)
    unseen = collect_views(samples[-args.unseen :], base.features, 0, 0, True)
    rows = []
    for count in args.counts:
        draws = (samples[most * draw :][:count] for draw in range(args.draws))
        changes = [change(base, some, unseen, 60 * args.minutes) for some in draws]
        ends = {"least": min(changes), "mean": float(np.mean(changes)), "most": max(changes)}
        row = {"domain": domain, "pictures": count, "as it comes": f"{ious(unseen.own.float(), unseen.truth).mean():.3f}"}
        row |= {name: f"{value:+.3f}" for name, value in ends.items()}
        rows.append(row | {"adopted": f"{sum(value != 0 for value in changes)} of {len(changes)}"})
        print(rows[-1], [f"{value:+.3f}" for value in changes], flush=True)
    return rows


def change(base: Own, some: list[Labeled], unseen: Views, seconds: float) -> float:
    """Mean IoU on the unseen pictures after learning from some, less that before; at the size of the network's logits."""
    until = time.monotonic() + seconds
    views = collect_views(some, base.features, 0, seconds, True)
    learner = LinearLearner(views, 0)
    step, _ = chosen(*held_back(learner, views, 0, False, until, True))
    if step is None:
        return 0.0
    head = refit(learner, views, step, until)
    said = torch.cat([head(levels, own) for levels, own, _ in map(unseen.batch, torch.arange(len(unseen.own)).split(16))])
    return float((ious(said, unseen.truth) - ious(unseen.own.float(), unseen.truth)).mean())


def drawn(rows: list[dict[str, object]], target: Path) -> None:
    """IoU over the number of pictures, a line a domain; at the left what the network says as it comes."""
    counts = sorted({int(str(row["pictures"])) for row in rows})
    image = Image.new("RGB", (720, 420), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((60, 40, 560, 370), outline=(210, 210, 210))
    across = {count: 60 + 500 * place / max(1, len(counts) - 1) for place, count in enumerate(counts)}
    for count, x in across.items():
        draw.text((x, 376), str(count), fill="black", anchor="ma")
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        draw.text((54, 370 - 330 * level), f"{level:g}", fill="black", anchor="rm")
    draw.text((310, 396), "labelled pictures (0: as it comes)", fill="black", anchor="ma")
    draw.text((60, 18), "IoU on pictures that were not learnt from", fill="black")
    colors = [(20, 110, 180), (200, 80, 30), (40, 140, 70), (90, 90, 90)]
    for color, domain in zip(colors, dict.fromkeys(str(row["domain"]) for row in rows), strict=False):
        values = {int(str(row["pictures"])): float(str(row["IoU"])) for row in rows if row["domain"] == domain}
        points = [(across[count], 370 - 330 * value) for count, value in values.items()]
        draw.line(points, fill=color, width=2)
        for point in points:
            draw.circle(point, 4, fill=color)
        draw.text((points[-1][0] + 10, points[-1][1]), f"{domain} {list(values.values())[-1]:.2f}", fill=color, anchor="lm")
    image.save(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    parser.add_argument("--counts", nargs="+", type=int, default=[5, 10, 20, 40, 80])
    parser.add_argument("--unseen", type=int, default=60, help="pictures to judge by")
    parser.add_argument("--minutes", type=float, default=8.0, help="as of figureground adapt")
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--draws", type=int, default=1, help="how often, each time from other pictures; the head alone")
    parser.add_argument("--seed", type=int, default=0, help="which pictures are learnt from")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.draws > 1:
        note = f"Change of IoU on {args.unseen} pictures, at the network's own size; {args.draws} times from other pictures."
        report("Adapting, spread", [row for domain in args.domains for row in spread(domain, args)], args.json, note)
        return
    rows = [row for domain in args.domains for row in series(domain, args)]
    report("Adapting", rows, args.json, f"{args.unseen} pictures to judge by; the same ones for each row of a domain.")
    if args.plot is not None:
        drawn(rows, args.plot)


if __name__ == "__main__":
    main()

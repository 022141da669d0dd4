"""Explore one picture in notebook cells: open this file in an editor that knows `# %%`, or run python notebook.py PHOTO."""

# %% Separate a picture. The network is loaded once.
import sys

import numpy as np

from figureground import Picture, Prompt, Separator

picture = Picture.read(sys.argv[1] if len(sys.argv) > 1 else "photo.jpg")
separate = Separator(quality="fast")
done = separate(picture)
done  # a notebook shows the cut-out  # noqa: B018

# %% What was found?
facts = done.info()
print({name: facts[name] for name in ("found", "box", "coverage", "certainty")})

# %% The mask is a numpy array.
print(done.mask.shape, done.mask.dtype, float(done.mask.mean()))
soft = np.mean((done.mask > 0.1) & (done.mask < 0.9))
print(f"{soft:.1%} of the pixels are neither foreground nor background")

# %% Compare the quality levels.
for quality in ("fast", "balanced", "best"):
    print(quality, round(Separator(quality=quality)(picture).info()["certainty"] or 0, 3))

# %% Exclude the left edge, and compare.
without = separate(picture, Prompt(not_points=[("1%", "50%")]))
print(f"{np.mean(abs(without.mask - done.mask)):.4f} of the mask changed")

"""Train the detail network, which gives a coarse mask its edge back at the picture's own resolution."""

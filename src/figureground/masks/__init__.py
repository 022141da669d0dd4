"""Turn a map into a mask, and improve the mask: rules, refiners, points and boxes."""

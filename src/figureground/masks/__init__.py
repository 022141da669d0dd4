"""From a map to a mask, and from a mask to a better one: rules, refiners, points and boxes."""

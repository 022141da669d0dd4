"""Colors of cut-outs, and pictures that show what was found."""

"""The suffixes of pictures."""

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .avif .jp2 .j2k .j2c .jpx .jpf .heic .heif .hif".split()  # noqa: SIM905  # to be read
)
"""How the names of pictures end. Other files of folders and archives are left out; a list can name them all the same."""

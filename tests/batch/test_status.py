"""What `--status` and the page say of numbers."""

from commandline import command


def test_numbers_of_one_agree_with_their_nouns(tmp_path):
    folder, out, page = tmp_path / "in", tmp_path / "out", tmp_path / "page.html"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    command("batch", "--engine", "inline", folder, out, "--ledger", tmp_path / "ledger")
    assert command("batch", "--status", out, "--ledger", tmp_path / "ledger").out.startswith("1 input: 0 done, ")
    assert command("batch", out, "--ledger", tmp_path / "ledger", "--report", page).code == 0
    html = page.read_text("utf-8")
    assert "<p>1 input: 0 done" in html

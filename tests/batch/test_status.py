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


def test_asking_for_a_status_leaves_no_file(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    command("batch", "--engine", "inline", folder, out)
    before = sorted(out.iterdir())
    for flag in ("--status", "--failed"):
        assert command("batch", flag, out).out
        assert sorted(out.iterdir()) == before


def test_a_table_without_the_column_is_refused_before_anything_is_made(tmp_path):
    table, out = tmp_path / "table.csv", tmp_path / "out"
    table.write_text("name,file\na,a.jpg\n")
    command("batch", "--engine", "inline", table, out, "--column", "nosuch").refused(2, "no column 'nosuch'")
    assert not out.exists()


def test_a_folder_may_be_called_like_a_table(tmp_path):
    folder = tmp_path / "photos.csv"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    command("batch", "--engine", "inline", folder, tmp_path / "out")
    assert "broken.png" in command("batch", "--failed", tmp_path / "out").out

"""Each layout as it is published, on a tiny folder of the same form."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curate_films import film
from phonofilm import PhonofilmError
from phonofilm.app.cli.main import main
from phonofilm.data.sets.conversion import convert
from phonofilm.data.sets.items import Item
from phonofilm.data.sets.registry import LAYOUTS, drawn, faults_of, layout_of, read_items, summarise
from phonofilm.media.shots.window import read_window

LRS = "Text:  COME HERE NOW\nConf:  5\n\nWORD START END ASDSCORE\n"
LRS += "COME 0.10 0.40 3.2\nHERE 0.50 0.80 1.0\nNOW 0.9 1.2 -0.5\n"
OPENVID = "video,caption,aesthetic score,motion score,temporal consistency score,camera motion,frame,fps,seconds\n"

SETS: Mapping[str, Mapping[str, str]] = {
    "audioset": {
        "eval_segments.csv": '# Segments csv\n# num_ytids=2\n# YTID, start_seconds, end_seconds, positive_labels\n'
        '--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_"\nBfuNGHIL-zE, 30.000, 40.000, "/m/04rlf"\n',
        "class_labels_indices.csv": 'index,mid,display_name\n0,/m/068hy,"Domestic animals, pets"\n1,/m/04rlf,"Music"\n',
        "eval/--4gqARaEJE.mp4": "", "eval/BfuNGHIL-zE_30000.wav": "",
    },
    "audioset-strong": {
        "audioset_eval_strong.tsv": "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"
        "s9d-2nhuJCQ_30000\t2.627\t7.237\t/m/053hz1\ns9d-2nhuJCQ_30000\t0.000\t1.5\t/m/09x0r\n",
        "mid_to_display_name.tsv": "/m/053hz1\tCheering\n/m/09x0r\tSpeech\n",
        "s9d-2nhuJCQ.mp4": "",
    },
    "vggsound": {
        "vggsound.csv": '---g-f_I2yQ,1,"people marching",test\n--0PQM4-hqg,30,waterfall burbling,train\n',
        "video/---g-f_I2yQ_000001.mp4": "", "video/--0PQM4-hqg_000030.mp4": "",
    },
    "ave": {
        "Annotations.txt": "Category&VideoID&Quality&StartTime&EndTime\nChurch bell&RUhOCu3LNXM&good&0&10\n"
        "Male speech, man speaking&--XyzK&good&2&6\n",
        "testSet.txt": "Male speech, man speaking&--XyzK&good&2&6\n", "AVE/RUhOCu3LNXM.mp4": "", "AVE/--XyzK.mp4": "",
    },
    "music": {
        "MUSIC_solo_videos.json": '{"videos": {"accordion": ["xyZ_1", "b-2"], "cello": ["c3"]}}',
        "MUSIC_duet_videos.json": '{"videos": {"cello guitar": ["d4"]}}', "solo/xyZ_1.mp4": "",
    },
    "fsd50k": {
        "FSD50K.ground_truth/dev.csv": 'fname,labels,mids,split\n'
        '64760,"Electric_guitar,Music","/m/02sgy,/m/04rlf",train\n',
        "FSD50K.ground_truth/eval.csv": 'fname,labels,mids\n37199,Bark,/m/05tny_\n',
        "FSD50K.dev_audio/64760.wav": "", "FSD50K.eval_audio/37199.wav": "",
    },
    "clotho": {
        "clotho_captions_development.csv": "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"
        '"Distorted AM Radio noise.wav","A muddled noise, of a radio","b","c","d","e"\n',
        "development/Distorted AM Radio noise.wav": "",
    },
    "greatest-hits": {
        "2015-02-16-16-49-06_times.txt": "0.50 wood hit static\n1.25 metal scratch deform\n",
        "2015-02-16-16-49-06_denoised.mp4": "",
    },
    "lrs": {"main/5535415699068794046/00001.txt": LRS, "main/5535415699068794046/00001.mp4": ""},
    "grid": {
        "s1/align/bbaf2n.align": "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 74500 sil\n",
        "s2/align/bbaf2n.align": "0 25000 bin\n", "s1/bbaf2n.mpg": "", "s2/bbaf2n.mpg": "",
    },
    "webvid": {
        "results_10M_val.csv": "videoid,contentUrl,duration,page_dir,name\n"
        '21179416,https://x/y.mp4,PT00H00M11S,006001_006050,"Aerial shot, winter forest"\n',
        "data/006001_006050/21179416.mp4": "",
    },
    "openvid": {
        "OpenVid-1M.csv": OPENVID
        + "celebv_1.mp4,A man speaks.,5.1,2.0,0.99,static,96,24.0,4.0\n",
        "video/celebv_1.mp4": "",
    },
}  # fmt: skip


def written(folder: Path, name: str) -> Path:
    for path, content in SETS[name].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


def items_of(folder: Path, name: str) -> dict[str, Item]:
    written(folder, name)
    layout = layout_of(folder)
    assert layout.name == name
    return {item.name: item for item in read_items(folder, layout)}


def times(item: Item) -> list[tuple[float, float | None, str | None]]:
    return [(event.time, event.end, event.label) for event in item.events]


def test_every_layout_is_tried_here():
    assert {layout.name for layout in LAYOUTS} == {*SETS, "webdataset"}


def test_audioset(tmp_path):
    items = items_of(tmp_path, "audioset")
    whole, cut = items["--4gqARaEJE_0"], items["BfuNGHIL-zE_30000"]
    assert (whole.start, whole.stop, whole.labels) == (0, 10, ("Domestic animals, pets", "/m/07q6cd_"))
    assert (cut.start, cut.stop, cut.file.name, cut.labels) == (None, None, "BfuNGHIL-zE_30000.wav", ("Music",))
    assert whole.split == "eval"


def test_audioset_strong(tmp_path):
    (item,) = items_of(tmp_path, "audioset-strong").values()
    assert (item.name, item.start, item.stop) == ("s9d-2nhuJCQ_30000", 30, 40)
    assert times(item) == [(0.0, 1.5, "Speech"), (2.627, 7.237, "Cheering")]
    assert item.labels == ("Cheering", "Speech")


def test_vggsound(tmp_path):
    items = items_of(tmp_path, "vggsound")
    assert items["--0PQM4-hqg_30000"].labels == ("waterfall burbling",)
    assert items["---g-f_I2yQ_1000"].split == "test"
    assert not any(item.missing for item in items.values())


def test_ave(tmp_path):
    items = items_of(tmp_path, "ave")
    assert times(items["--XyzK"]) == [(2, 6, "Male speech, man speaking")]
    assert items["--XyzK"].split == "test"


def test_music(tmp_path):
    items = items_of(tmp_path, "music")
    assert (items["d4"].labels, items["d4"].split) == (("cello", "guitar"), "duet")
    assert [name for name, item in items.items() if not item.missing] == ["xyZ_1"]


def test_fsd50k(tmp_path):
    items = items_of(tmp_path, "fsd50k")
    assert items["dev-64760"].labels == ("Electric guitar", "Music")
    assert (items["eval-37199"].split, items["eval-37199"].missing) == ("test", False)


def test_clotho(tmp_path):
    (item,) = items_of(tmp_path, "clotho").values()
    assert item.captions == ("A muddled noise, of a radio", "b", "c", "d", "e")
    assert (item.split, item.missing) == ("development", False)


def test_greatest_hits(tmp_path):
    (item,) = items_of(tmp_path, "greatest-hits").values()
    assert times(item) == [(0.5, None, "hit wood"), (1.25, None, "scratch metal")]


def test_lrs(tmp_path):
    (item,) = items_of(tmp_path, "lrs").values()
    assert item.captions == ("COME HERE NOW",)
    assert times(item) == [(0.1, 0.4, "COME"), (0.5, 0.8, "HERE"), (0.9, 1.2, "NOW")]
    assert item.split == "main"


def test_grid(tmp_path):
    items = items_of(tmp_path, "grid")
    assert times(items["s1/bbaf2n"]) == [(0.95, 1.18, "bin"), (1.18, 1.36, "blue")]
    assert items["s2/bbaf2n"].file == tmp_path / "s2" / "bbaf2n.mpg"


def test_webvid_and_openvid(tmp_path):
    (web,) = items_of(tmp_path / "web", "webvid").values()
    (open_,) = items_of(tmp_path / "open", "openvid").values()
    assert (web.captions, web.missing) == (("Aerial shot, winter forest",), False)
    assert (open_.captions, open_.missing) == (("A man speaks.",), False)


def test_webdataset(tmp_path):
    with tarfile.open(tmp_path / "a-000.tar", "w") as tar:
        for name, content in {"1.mp4": b"x", "1.txt": b"a dog", "2.wav": b"y", "2.cls": b"7", "3.json": b"{}",
                              "4.mp4": b"z", "4.json": b'{"caption": "a cat"}'}.items():  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    items = read_items(tmp_path, layout_of(tmp_path))
    assert [(item.name, item.captions, item.labels) for item in items] == [
        ("a-000.tar/1.mp4", ("a dog",), ()), ("a-000.tar/2.wav", (), ("7",)), ("a-000.tar/4.mp4", ("a cat",), ()),
    ]  # fmt: skip
    with pytest.raises(PhonofilmError, match="shards already"):
        convert(items, tmp_path / "out", lambda *given: None)


@pytest.mark.parametrize(
    ("name", "file", "content", "said"),
    [
        ("vggsound", "vggsound.csv", "a,b\n", "line 1 has 2 columns"),
        ("vggsound", "vggsound.csv", "a,soon,dog,test\n", "start = 'soon' is no number"),
        ("audioset-strong", "audioset_eval_strong.tsv", "segment\tlabel\nx\ty\n", "has no column 'label|has no column"),
        ("music", "MUSIC_solo_videos.json", "[1]", "is not"),
        ("grid", "s1/align/bbaf2n.align", "0 bin\n", "is not START END WORD"),
        ("greatest-hits", "2015-02-16-16-49-06_times.txt", "x wood hit\n", "'x' is no time"),
        ("clotho", "clotho_captions_development.csv", "file_name,caption_1\n", "holds no item"),
    ],
)
def test_a_damaged_table_is_one_line_that_names_it(tmp_path, name, file, content, said):
    folder = written(tmp_path, name)
    (folder / file).write_text(content)
    with pytest.raises(PhonofilmError, match=said):
        read_items(folder, layout_of(folder))


def test_a_folder_of_no_layout_is_one_line(tmp_path):
    with pytest.raises(PhonofilmError, match="no data set of a known layout"):
        layout_of(tmp_path)
    with pytest.raises(PhonofilmError, match="there is no layout 'x'"):
        layout_of(tmp_path, "x")
    with pytest.raises(PhonofilmError, match="does not exist"):
        layout_of(tmp_path / "none")


def test_a_set_is_counted_checked_sampled_and_converted(tmp_path, capsys):
    folder = tmp_path / "vggsound"
    folder.mkdir()
    rows = [
        "aa,0,dog barking,train",
        "bb,1,dog barking,train",
        "cc,5,cat,test",
        "dd,0,cat,test",
        "aa,0,dog barking,train",
    ]
    (folder / "vggsound.csv").write_text("\n".join(rows) + "\n")
    whole = film(folder / "bb.mp4", 31, 32, seconds=2.0)  # of which ten seconds from the first on are wanted
    shutil.copy(whole, folder / "aa_000000.mp4")
    shutil.copy(whole, folder / "cc.mp4")
    items = read_items(folder, layout_of(folder))
    counted = summarise(items)
    assert (counted.items, counted.missing, counted.splits) == (5, 1, {"test": 2, "train": 3})
    assert counted.labels == {"dog barking": 3, "cat": 2}
    faults = faults_of(items, lambda *given: None)
    assert faults["dd_0"].endswith("is not there")
    assert "begins at 5 s and cc.mp4 ends at" in faults["cc_5000"]
    assert faults["aa_0"] == "there are two of this name"
    assert set(faults) == {"dd_0", "cc_5000", "aa_0"}
    assert drawn(items, 2, 1) == drawn(items, 2, 1)

    assert main(["data", "convert", str(folder), "-o", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["written"] == 3
    with tarfile.open(tmp_path / "out" / "train-00000.tar") as tar:
        names = tar.getnames()
        beside = json.load(tar.extractfile(names[3]))
        (tmp_path / "part.mp4").write_bytes(tar.extractfile(names[2]).read())
    assert (beside["name"], beside["labels"]) == ("bb_1000", ["dog barking"])
    start, stop = Fraction(beside["clip_in_exact"]), Fraction(beside["clip_out_exact"])
    assert stop - start == 10
    one, other = read_window(whole, Fraction(1), Fraction(3)), read_window(tmp_path / "part.mp4", start, start + 2)
    assert np.array_equal(one.frames, other.frames)
    for command in ("info", "check", "sample"):
        assert main(["data", command, str(folder), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["ok"]

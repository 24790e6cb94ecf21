"""Exports in code pages other than cp1252: asked for by init, doctor and the job, and read once a config says it."""

import codecs
from pathlib import Path

import pytest
from init_calls import refused, written

from pipelines.ingest import job as ingest
from pipelines.operations.doctor import job as doctor

pytestmark = pytest.mark.medium

TITLES = {
    "cp1250": "żółty sweter",
    "mac_roman": "Schüssel weiße",
    "cp850": "Gefäß für Öl",
    "shift_jis": "背の高いランプ",
    "gb18030": "红色杯子",
}


@pytest.mark.parametrize("encoding", TITLES)
def test_an_encoding_that_nobody_has_told_is_asked_for(encoding, capsys):
    title = TITLES[encoding]
    rows = "".join(f"a{number},{title} {number},https://shop.example/{number}.jpg\n" for number in range(9))
    Path("products.csv").write_bytes(f"id,title,image_link\n{rows}".encode(encoding))
    assert 'encoding = "cp1250"' in refused(capsys, "products.csv")
    Path("by_hand.toml").write_text('catalog = "products.csv"\n[columns]\nitem_id = "id"\nimages = "image_link"\n')
    assert ingest.main(["--config", "by_hand.toml", "--run", "asked"]) == 0
    assert "not UTF-8: say what it is, in the config: [format] encoding" in capsys.readouterr().out
    doctor.main(["--config", "by_hand.toml"])
    assert "not UTF-8: say what it is, in the config: [format] encoding" in capsys.readouterr().out
    Path("form.toml").write_text(f'[format]\nencoding = "{encoding}"\n')
    shop = written("products.csv", "--config", "form.toml")
    assert shop["format"] == {"encoding": codecs.lookup(encoding).name}
    assert f"{title} 0" in capsys.readouterr().out
    assert ingest.main(["--config", "shop.toml", "--run", "run"]) == 0
    assert "not UTF-8" not in capsys.readouterr().out

"""Pictures of the page of `lexlip-es serve` for the documentation, and what the page weighs.

    python -m benchmarks.page_pictures [--into docs]

The index holds the demo's photographs, whose licences are open, and is deleted at the end. The engine is that of LEXLIP_ES_URL or
the embedded one. Bytes are those of the files as they are sent, without thumbnails; times are the browser's, from asking for a
search's address in a fresh browser to the end of what is named.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from benchmarks.sending import connected
from benchmarks.serve_speed import served
from lexlip_es import PictureIndex
from lexlip_es.demo_pictures import write_demo_pictures
from tests.servers.chromium import chromium

INDEX = "page-pictures"
DESK, PHONE = {"width": 1200, "height": 760}, {"width": 360, "height": 740}
RESULTS = "/?q=a+dark+night+sky^2+with+stars&cut_off=false"
_MEASURED = """() => {
    const sent = performance.getEntriesByType("resource");
    const page = [...performance.getEntriesByType("navigation"), ...sent.filter((one) => /static/.test(one.name))];
    const end = (part) => Math.round(Math.min(...sent.filter((one) => one.name.includes(part)).map((one) => one.responseEnd)));
    return {
        "requests of the page": page.length,
        "bytes of the page": page.reduce((sum, one) => sum + one.encodedBodySize, 0),
        "first paint, ms": Math.round(performance.getEntriesByName("first-contentful-paint")[0].startTime),
        "answer, ms": end("/api/search"),
        "first thumbnail, ms": end("/thumbnails/"),
    };
}"""


def look(browser: Browser, url: str, into: Path) -> Any:
    """Save the pictures, and return what the first visit of a fresh browser took."""
    page = _opened(browser, url, RESULTS)
    measured = page.evaluate(_MEASURED)
    _save(page, into / "page-light.jpg")
    page.locator(".hit").first.click()
    _save(page, into / "page-why.jpg")
    _save(_opened(browser, url, RESULTS, color_scheme="dark"), into / "page-dark.jpg")
    _save(_opened(browser, url, RESULTS, viewport=PHONE, device_scale_factor=2), into / "page-phone.jpg")
    _save(_opened(browser, url, "/?q=a+cat+-cat+%2Bmoon"), into / "page-empty.jpg")
    return measured


def _opened(browser: Browser, url: str, path: str, **manners: Any) -> Page:
    page = browser.new_page(**{"viewport": DESK, "color_scheme": "light", **manners})
    page.goto(url + path, wait_until="networkidle")
    return page


def _save(page: Page, file: Path) -> None:
    page.screenshot(path=file, type="jpeg", quality=80)


def main() -> None:
    """Save the pictures and print the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=Path("docs"))
    options = parser.parse_args()
    engine: Any = connected()
    url = engine._access.nodes[0].url
    with tempfile.TemporaryDirectory() as scratch, PictureIndex(url, INDEX) as index:
        folder = Path(scratch) / "demo"
        write_demo_pictures(folder)
        try:
            index.index(folder, collection="photographs")
            with served(url, index) as site, chromium() as browser:
                print(json.dumps(look(browser, site, options.into), indent=2))
        finally:
            for name in engine.indices(f"{INDEX}-*"):
                engine.delete_index(name)


if __name__ == "__main__":
    main()

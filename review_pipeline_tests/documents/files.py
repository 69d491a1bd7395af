"""Documents made for tests: PDFs written byte by byte or with pypdf, a policy, and a folder of them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from pathlib import Path

from pypdf import PdfReader, PdfWriter

POLICY = """\
# Policy of the records office

It holds for every document that leaves the house.

## R1: Retention period is stated
The document says how long records are kept.
Signs: retention period, kept for

## R2: No records are kept for ever
Signs against: kept for ever, indefinitely

## R3: A contact is named
Signs: contact, e-mail
"""


def pdf(pages: Sequence[Sequence[str]], picture_on: Sequence[int] = (), compress: bool = False) -> bytes:
    """One text line for each string. picture_on: pages, from 0, that show a picture."""
    objects: list[bytes] = [b"", b""]  # the catalog and the pages come when all is known
    kids = []
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    picture = b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 /Length 1 >>\nstream\n0\nendstream"
    for number, lines in enumerate(pages):
        rows = "".join(f"({line.translate({40: None, 41: None, 92: None})}) Tj 0 -14 Td " for line in lines)
        content = f"BT /F1 11 Tf 50 780 Td {rows}ET".encode("latin-1")
        shown = b""
        if number in picture_on:
            objects.append(picture)
            shown = b" /XObject << /P %d 0 R >>" % len(objects)
            content += b" /P Do"
        filters = b""
        if compress:
            content, filters = zlib.compress(content), b" /Filter /FlateDecode"
        objects.append(b"<< /Length %d%s >>\nstream\n%s\nendstream" % (len(content), filters, content))
        stream = len(objects)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << /F1 %s >>%s >> >>"
            % (stream, font, shown)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(kids))
    return _assembled(objects)


def _assembled(objects: Sequence[bytes]) -> bytes:
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, one in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)


def encrypted(content: bytes, password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(content)))
    writer.encrypt(password, owner_password="owner", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def bomb(size: int = 500_000_000) -> bytes:
    """A page whose content unpacks to so many bytes, packed three times."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b" " * 50_000_000) for _ in range(size // 50_000_000)) + packer.flush()
    for _ in range(2):
        packed = zlib.compress(packed, 9)
    filters = b"/Filter [/FlateDecode /FlateDecode /FlateDecode]"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 3 0 R /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
    return _assembled(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [4 0 R] >>",
            b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(packed), filters, packed),
            page,
        ]
    )


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

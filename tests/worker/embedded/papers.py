"""Documents and pictures made on the spot: PDFs by hand, their pages as pictures, scans of them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import pypdfium2
from PIL import Image

LOCKED: Final = zlib.decompress(
    base64.b85decode(
        "c-n<iJ&)W(7#38>O(ZHJgfa>`x}4|3Gvg7PlWdRY?nJ^Jy9pGlE9Q1*51)MFl|38X1w;u=egP5^N`WFpqyi*TB#NL0nlwa0LR1kI"
        "CrS#&yL%U-EpTCbp4anyyzh8zSE?&$od#>q|NQH5fB*#5{$bGT1z}drtOF<r-zmlo7!qIV?*-v?GcI&m9fKkC2o-c4#~_Z-dMteP"
        "#>v!xa91CgCfL{rj2*XhxI?=$H8vT!qOwa)5URp$0Xr*8Ptb0?rcbJw1L2M}Syj%C>;i5;Yp;JMl4+;Q>YyV-{^Q;{V_gHH#h%T&"
        "noU8kx7@r~h651ZsI_gTx;A!n;z>Os&8=c&`kSd|_QJm6&XoJ6sb=-aTVY)*t-FqosN+Kwr8Bk9SZZga8C7Ewgx8Eca36x0x0@PQ"
        "8+{af^zi=Vy-WMg+^;WRyzq~B_1mX+e%?9#`spuspUJJ;{PgnkH%@ogKmTF2`AzlN_g62z{@|^{cdJjz?~d<2`SkFWzhC?Pt1oX3"
        "KZciI+PnJOg&!Zi{pJ@x-TC8Q>uIU5bVobxQr#HkI|afmQ{FPJ80jF)t#?`20}y^t*u*x)84!en*}j`6ZgZov_$@;xKI_JB$$i%q"
        "0<CU;-qN}n4U7ZB&>uceWsbf6_L1*lx_oBK=k{KQmUpM?1GPs;`lf;&Pcj8L%@AP}AqAsM$w*-Zkz$b`5yTrEp18x~lhr3vcilKW"
        "_QwfKblI2}LmN14$GRS$PYmJMpJ33#8N-rcnxvR;L@CO-<ax{xiaC>9uw2Sqa)Kfei<I&-Lz$v9gWjaVT(n&PS0aC)0P$UQN2(PY"
        "XR2M)FBUgJFI6JRBYzVyRzyaW5RyPdl+02onGoFDND`iN#kmlaa6<Atq7V}#Glsm>`v7<HAJ=9QKp+BmegQ@)p<n{eG32K;uh?@8"
        "LA-)txcVK5&<Yj_v4T;-RxlQm6^zr4hO2c^ntDFGL2=vo7-7Gv9KehJaobKRz!&e!;evQsl3>_t$CjsY?uUY5%3y*MoF*Iz$(Te^"
        "Zv6ijdyAh|*KXcP1Q80>*76+{{0k!gdRh"
    )
)
"""A PDF of one page ("The safe opens with 4711.") that asks for a password; made with fpdf2."""


def pdf(pages: Sequence[Sequence[str]], font: str = "Helvetica", size: int = 14) -> bytes:
    """Write a PDF, its pages given as lines of plain ASCII (PDF 32000-1)."""
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    bodies = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>>>",
        f"<</Type/Font/Subtype/Type1/BaseFont/{font}>>",
    ]
    for at, lines in enumerate(pages):
        shown = " ".join(f"({_escaped(line)}) Tj T*" for line in lines)
        content = f"BT /F {size} Tf {size * 1.5} TL 50 780 Td {shown} ET"
        bodies.append(f"<</Type/Page/Parent 2 0 R/Contents {5 + 2 * at} 0 R>>")
        bodies.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
    written = BytesIO()
    written.write(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(bodies, 1):
        offsets.append(written.tell())
        written.write(f"{number} 0 obj{body}endobj\n".encode())
    start = written.tell()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    written.write(f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}".encode())
    written.write(f"trailer<</Size {len(bodies) + 1}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF".encode())
    return written.getvalue()


def picture(lines: Sequence[str], font: str = "Helvetica", size: int = 14, dots: int = 150) -> Image.Image:
    """Draw the upper half of a page with these lines, at so many dots an inch."""
    document = pypdfium2.PdfDocument(pdf([lines], font, size))
    page = document[0]
    image: Image.Image = page.render(scale=dots / 72).to_pil().convert("RGB")
    page.close()
    document.close()
    return image.crop((0, 0, image.width, image.height // 2))


def scan(path: Path, pictures: Sequence[Image.Image]) -> None:
    """Write a PDF whose pages are pictures."""
    pictures[0].save(path, save_all=True, append_images=pictures[1:], resolution=150)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")

"""What somebody filled into a PDF's form. It is kept apart from the page's text, and most forms are sent for its sake.

https://pdfium.googlesource.com/pdfium/+/refs/heads/main/public/fpdf_annot.h
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

MOST_FIELDS: Final = 2_000
"""Fields of one page."""

MOST_VALUE: Final = 10_000
"""Characters of one field that are told."""

MOST_BYTES: Final = 1 << 20
"""A field that is larger is left out."""

PASSWORD: Final = 1 << 13
"""The flag of a field whose value must not be shown (PDF 32000-1, table 228)."""


def filled_in(page: Any, environment: Any) -> str:
    """Return the page's filled-in fields, one "name: value" a line. ``environment`` is the document's form."""
    # Any: pypdfium2 has no types.
    from pypdfium2 import raw

    told: list[str] = []
    for number in range(min(raw.FPDFPage_GetAnnotCount(page), MOST_FIELDS)):
        field = raw.FPDFPage_GetAnnot(page, number)
        if not field:
            continue
        try:
            if raw.FPDFAnnot_GetSubtype(field) == raw.FPDF_ANNOT_WIDGET and (line := _line(environment, field)):
                told.append(line)
        finally:
            raw.FPDFPage_CloseAnnot(field)
    return "\n".join(told)


def _line(environment: Any, field: Any) -> str:
    from pypdfium2 import raw

    kind = raw.FPDFAnnot_GetFormFieldType(environment, field)
    if kind in (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON):
        value = _value(environment, field) if raw.FPDFAnnot_IsChecked(environment, field) else ""
    elif kind in (raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX):
        is_secret = raw.FPDFAnnot_GetFormFieldFlags(environment, field) & PASSWORD
        value = "" if is_secret else _value(environment, field)
    else:
        value = ""
    if not value.strip():
        return ""
    full = _text(raw.FPDFAnnot_GetFormFieldName, environment, field)
    # A name such as "form1[0].#subform[0].Plate[0]" is a path.
    name = _text(raw.FPDFAnnot_GetFormFieldAlternateName, environment, field) or full.rsplit(".", 1)[-1].split("[")[0]
    return f"{' '.join(name.split()) or 'Filled in'}: {value.strip()}"


def _value(environment: Any, field: Any) -> str:
    from pypdfium2 import raw

    return _text(raw.FPDFAnnot_GetFormFieldValue, environment, field)[:MOST_VALUE]


def _text(read: Callable[..., int], environment: Any, field: Any) -> str:
    """Call PDFium's way of returning text: first for its size in bytes, then for UTF-16 with a NUL at the end."""
    size = read(environment, field, None, 0)
    if size > MOST_BYTES:
        return ""
    room = ctypes.create_string_buffer(size)
    read(environment, field, ctypes.cast(room, ctypes.POINTER(ctypes.c_ushort)), size)
    return room.raw.decode("utf-16-le", "replace").rstrip("\0")

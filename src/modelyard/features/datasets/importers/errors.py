"""What can be wrong with an uploaded file. Each message says where, and what to do."""

from modelyard.core.errors import Invalid


class EmptyFile(Invalid):
    """No bytes, or nothing but blanks."""

    code = "empty_file"


class NotATable(Invalid):
    """Something else than a table: a picture, a document, an archive, a page."""

    code = "not_a_table"


class NoHeader(Invalid):
    """The first row holds values, not names."""

    code = "no_header"


class NoRows(Invalid):
    """Names of columns, but nothing below."""

    code = "no_rows"


class DuplicateColumns(Invalid):
    """Two columns of the same name, which would not be told apart."""

    code = "duplicate_columns"


class TooManyColumns(Invalid):
    """More columns than the limit."""

    code = "too_many_columns"


class RaggedRows(Invalid):
    """A row has more or fewer values than the header has names."""

    code = "ragged_rows"


class BadEncoding(Invalid):
    """Bytes that are no text in any encoding that is certain."""

    code = "bad_encoding"


class Unreadable(Invalid):
    """The kind of file is known, but this one is damaged or locked."""

    code = "unreadable"


class BrokenRows(Invalid):
    """Rows whose values are not what their column is for."""

    code = "broken_rows"


class BadArchive(Invalid):
    """An archive that is damaged, locked, holds no tables or would write where it must not."""

    code = "bad_archive"


class UnpacksToTooMuch(Invalid):
    """An archive or a packed file that is far larger unpacked, or holds too many files."""

    code = "unpacks_to_too_much"

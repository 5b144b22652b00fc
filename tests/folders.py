"""What lies in a folder."""


def content(folder):
    """Names and bytes of a piece's files, without its checksums."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files.pop("checksums.json", None)
    return files

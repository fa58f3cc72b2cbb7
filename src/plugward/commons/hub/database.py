"""Databases of other systems, by a URL that nobody else can read. The site installs the driver."""

import os
from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError


def engine_of(file: Path, connections: int = 2) -> Engine:
    """``ValueError`` says what is wrong, and never the password."""
    if os.stat(file).st_mode & 0o077:
        raise ValueError(f"{file.name} holds a password: chmod 600")
    try:
        url = file.read_text("utf-8").strip()
        return create_engine(url, pool_pre_ping=True, pool_size=connections)
    except (SQLAlchemyError, ImportError) as error:
        raise ValueError(f"{file.name}: {type(error).__name__}") from None

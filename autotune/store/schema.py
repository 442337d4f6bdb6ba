"""The tables of the store, as they grew: each step takes a file from one version to the next."""

APPLICATION_ID = 0x6155746E
"""`aUtn`: tells a store from other SQLite files (`PRAGMA application_id`)."""

MIGRATIONS = (
    """
    CREATE TABLE searches (
        id INTEGER PRIMARY KEY,
        started_at TEXT NOT NULL,
        owner TEXT NOT NULL,
        asked TEXT NOT NULL,
        model TEXT NOT NULL,
        premises TEXT NOT NULL,
        answer TEXT
    );
    CREATE INDEX searches_by_question ON searches (asked, model);
    CREATE TABLE records (
        id INTEGER PRIMARY KEY,
        search INTEGER NOT NULL REFERENCES searches ON DELETE CASCADE,
        kind TEXT NOT NULL,
        digest BLOB NOT NULL,
        turn INTEGER NOT NULL,
        ended_at TEXT NOT NULL,
        asked BLOB NOT NULL,
        outcome BLOB NOT NULL,
        UNIQUE (search, digest, turn)
    );
    """,
    # Single measurements and checks are kept as well.
    "ALTER TABLE searches ADD COLUMN command TEXT NOT NULL DEFAULT 'search'",
    # What a search has to teach before its end; a number is never given twice, so that whoever
    # has seen all up to one has seen them.
    """
    CREATE TABLE lessons (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sender TEXT NOT NULL UNIQUE,
        lesson TEXT NOT NULL
    );
    """,
)
"""Step i leads from version i to i + 1; 0 is an empty file. None is ever changed."""

VERSION = len(MIGRATIONS)
"""What this autotune writes (`PRAGMA user_version`)."""

-- The tables of watch.db, schema 1 (harness/watch/store.py).
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE mail (
    id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, thread INTEGER NOT NULL, size INTEGER NOT NULL,
    parts INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE INDEX mail_thread ON mail (thread);
CREATE TABLE node (message_id TEXT PRIMARY KEY, thread INTEGER NOT NULL) STRICT;
CREATE INDEX node_thread ON node (thread);
CREATE TABLE file (inbox TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (inbox, name)) STRICT;
CREATE TABLE series (
    id INTEGER PRIMARY KEY, newest INTEGER NOT NULL DEFAULT 0, changed INTEGER NOT NULL DEFAULT 0,
    sections TEXT NOT NULL DEFAULT '[]') STRICT;
CREATE INDEX series_changed ON series (changed);
CREATE TABLE version (
    id INTEGER PRIMARY KEY, series INTEGER NOT NULL REFERENCES series (id), thread INTEGER NOT NULL,
    number INTEGER NOT NULL, rfc INTEGER NOT NULL, message_id TEXT NOT NULL, title TEXT NOT NULL,
    author TEXT NOT NULL, email TEXT NOT NULL, sent TEXT NOT NULL, arrived TEXT NOT NULL, state TEXT NOT NULL,
    reason TEXT NOT NULL, rank INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL, sha256 TEXT NOT NULL,
    given INTEGER NOT NULL, contents BLOB NOT NULL) STRICT;
CREATE INDEX version_series ON version (series);
CREATE INDEX version_state ON version (state);
CREATE INDEX version_email ON version (email);
CREATE TABLE part (
    message_id TEXT NOT NULL, number INTEGER NOT NULL, version INTEGER NOT NULL REFERENCES version (id),
    PRIMARY KEY (message_id, number)) STRICT;
CREATE INDEX part_version ON part (version);
CREATE TABLE run (
    id INTEGER PRIMARY KEY, version INTEGER NOT NULL REFERENCES version (id), sha256 TEXT NOT NULL,
    state TEXT NOT NULL, started TEXT NOT NULL, finished TEXT NOT NULL DEFAULT '',
    seconds REAL NOT NULL DEFAULT 0, base TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
    verdict TEXT NOT NULL DEFAULT '', errors INTEGER NOT NULL DEFAULT 0, warnings INTEGER NOT NULL DEFAULT 0,
    notes INTEGER NOT NULL DEFAULT 0, place TEXT NOT NULL DEFAULT '', final INTEGER NOT NULL DEFAULT 0,
    results BLOB) STRICT;
CREATE INDEX run_version ON run (version);

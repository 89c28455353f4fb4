"""A database that refuses certain legal events, as a constraint that somebody added by hand would."""

import random
import string

from read_models import ReadModels

REFUSED_BYTES = 3_000
OVERLONG = "".join(random.Random(0).choices(string.ascii_lowercase, k=REFUSED_BYTES))
"""An emoji that the database refuses, alone or with more behind it."""

_TRIGGER = f"""
CREATE OR REPLACE FUNCTION collab.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no such emoji here' USING ERRCODE = 'data_exception';
END
$$;
CREATE OR REPLACE TRIGGER refuse BEFORE INSERT OR UPDATE ON collab.message_reactions
    FOR EACH ROW WHEN (octet_length(NEW.emoji) >= {REFUSED_BYTES}) EXECUTE FUNCTION collab.refuse()
"""


def refuse_overlong(models: ReadModels) -> None:
    """Make this database refuse reactions with `OVERLONG`; the schema itself refuses no legal event."""
    models.execute(_TRIGGER)

#!/usr/bin/env python3
"""The counts of dataset/goodreads, made a second time: slowly, with dictionaries and lists, from the description of the released scripts
(docs/fidelity.md) and not from plugins/goodreads. Prints one JSON object.

    goodreads_reference.py FOLDER [key=value ...]     keys: options of [dataset], e.g. unrated=negative order=released book_min=3;
                                                      sequences=FILE writes each reader's high ratings, a line a reader

Random steps (history lengths, random books, removal down to a size) have no counts that two programs could share; what surrounds them
has: readers, books and ratings after each filter, and each reader's high ratings in order.
"""
import glob
import gzip
import json
import re
import sys
from datetime import datetime, timezone

DEFAULTS = {"unrated": "drop", "order": "time", "title": "title", "untitled": "keep", "book_first_min": 5, "book_max": 10000, "book_min": 10,
            "reader_cap": 100, "reader_min": 10, "sequences": ""}
DATE = re.compile(r"^\S{3} [A-Z][a-z]{2} \d{1,2} \d{1,2}:\d{1,2}:\d{1,2} [+-]\d{4} \d{1,4}$")


def lines_of(folder, pattern):
    found = sorted(p for p in glob.glob(folder + "/" + pattern + ".json*") if p.endswith((".json", ".json.gz")))
    if not found:
        sys.exit(f"no {pattern} in {folder}")
    opener = gzip.open if found[0].endswith(".gz") else open
    with opener(found[0], "rb") as file:
        for raw in file:
            yield raw.strip()


def objects(folder, pattern, counts, what):
    for raw in lines_of(folder, pattern):
        counts[what + "_lines"] = counts.get(what + "_lines", 0) + 1
        if not raw:
            counts["blank"] = counts.get("blank", 0) + 1
            continue
        try:
            value = json.loads(raw.decode("utf-8", "replace"))
        except ValueError:
            value = None
        if isinstance(value, dict):
            yield value
        else:
            counts["malformed"] = counts.get("malformed", 0) + 1


def seconds(text, wall):
    if not DATE.match(text):
        return None
    try:
        when = datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y")
    except ValueError:
        return None
    return int((when.replace(tzinfo=timezone.utc) if wall else when).timestamp())


def books_of(readers):
    counts = {}
    for high, low in readers.values():
        for book in high + low:
            counts[book] = counts.get(book, 0) + 1
    return counts


def keep(readers, books, cap, least):
    left = {}
    for user, (high, low) in readers.items():
        high = [b for b in high if b in books][:cap]
        if len(high) >= least:
            left[user] = (high, [b for b in low if b in books][:cap])
    return left


def settle(readers, book_min, reader_min):
    last = None
    while True:
        books = {b for b, n in books_of(readers).items() if n >= book_min}
        if last == len(books):
            return readers
        last = len(books)
        readers = keep(readers, books, None, reader_min)


def sizes(prefix, readers, out):
    out[prefix + "_readers"] = len(readers)
    out[prefix + "_books"] = len(books_of(readers))
    out[prefix + "_high"] = sum(len(high) for high, _ in readers.values())
    out[prefix + "_low"] = sum(len(low) for _, low in readers.values())


def main():
    folder, o = sys.argv[1], dict(DEFAULTS)
    for text in sys.argv[2:]:
        key, value = text.split("=", 1)
        o[key] = type(DEFAULTS[key])(value)
    out = {"malformed": 0, "blank": 0, "unrated": 0, "middle": 0, "dateless": 0, "twice": 0}
    rated = {}
    for row in objects(folder, "goodreads_interactions_*", out, "interaction"):
        user, book, rating = row.get("user_id"), row.get("book_id"), row.get("rating")
        if not user or not book or rating not in (0, 1, 2, 3, 4, 5):
            out["malformed"] += 1
            continue
        if rating == 3:
            out["middle"] += 1
            continue
        if rating == 0 and o["unrated"] == "drop":
            out["unrated"] += 1
            continue
        time = 0
        if rating > 3:
            time = seconds(row.get("date_added", ""), o["order"] == "released")
            if time is None or not 0 <= time < 2**32:
                out["dateless"] += 1
                continue
        mine = rated.setdefault(user, {})
        if book in mine:
            out["twice"] += 1
            continue
        mine[book] = (rating > 3, str(time) if o["order"] == "released" else time)
    readers = {}
    for user, mine in rated.items():
        high = sorted(((b, t) for b, (is_high, t) in mine.items() if is_high), key=lambda x: x[1])
        if high:
            readers[user] = ([b for b, _ in high], [b for b, (is_high, _) in mine.items() if not is_high])
    out["without_high"] = len(rated) - len(readers)
    sizes("rated", readers, out)

    cap = max(30000, o["reader_cap"])
    last = None
    while True:
        books = {b for b, n in books_of(readers).items() if o["book_first_min"] <= n <= o["book_max"]}
        if last == len(books):
            if cap == o["reader_cap"]:
                break
            cap = max(cap // 5, o["reader_cap"])
        last = len(books)
        readers = keep(readers, books, cap, 1)
    readers = settle(readers, o["book_first_min"], o["reader_min"])
    sizes("first", readers, out)

    original = o["title"] == "original_title"
    catalogue = {}
    for row in objects(folder, "goodreads_book_works" if original else "goodreads_books*", out, "book"):
        book = row.get("best_book_id" if original else "book_id")
        if not book:
            out["malformed"] += 1
            continue
        title = " ".join((row.get(o["title"]) or "").split())
        if book not in catalogue and (title or o["untitled"] == "keep"):
            catalogue[book] = title
    readers = keep(readers, catalogue.keys(), None, o["reader_min"])
    readers = settle(readers, o["book_min"], o["reader_min"])
    sizes("last", readers, out)
    if o["sequences"]:
        with open(o["sequences"], "w", encoding="utf-8") as file:
            for user in sorted(readers):
                file.write(user + " " + " ".join(readers[user][0]) + "\n")
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()

# Copyright (C) The ngx_im authors

# Starts SecantusDB, the MongoDB server of the tests, with another choice of
# indexes; the arguments are those of secantusd-py.
#
# For a filter that has more than the columns of an index, such as the version
# of a row, it looks at all documents that have the first column, which are
# all rows of an application.  MongoDB looks at those that have all columns of
# the index.  It also walks over all that there is, and sorts it, to answer
# some of it; MongoDB ends when it has enough, if the index has that order.
# What is found is compared with the whole filter in any case.

import importlib.metadata
import itertools
import sys

from secantus import cli

if importlib.metadata.version('secantusdb') != '0.7.0b3':
    sys.exit(cli.main())

import wiredtiger as wt
from bson import ObjectId
from secantus.sortkey import encode_value
from secantus.storage import _IDX_ENTRIES_TABLE, COMPOUND_SEP, Storage, \
    _escape_kb, _sparse_index_usable, _unpack_entry, matches

others = Storage._try_index_id_keys
find = Storage.find_matching


def is_range(value):
    return isinstance(value, dict) and value \
        and all(op in ('$gt', '$gte', '$lt', '$lte') for op in value)


def is_list(value):
    return isinstance(value, dict) and list(value) == ['$in'] \
        and all(isinstance(v, (int, str)) for v in value['$in'])


def choose(self, db, coll, filter):
    """The index with most columns, their values, and what the next one has"""

    best = None
    partial = self._partial_filters(db, coll)

    for name, columns, sparse, unique in self._all_indexes(db, coll):
        if any(order != 1 for order in columns.values()) \
           or sparse and not _sparse_index_usable(columns, filter) \
           or name in partial \
           and not self._query_implies_partial(filter, partial[name]):
            continue

        parts = []
        more = None

        for column in columns:
            value = filter.get(column)

            if not isinstance(value, (int, str, ObjectId)):
                if is_range(value) or is_list(value):
                    more = value
                break

            parts.append(encode_value(value))

        found = (len(parts), more is not None)

        if best is None or found > best[0]:
            best = (found, name, list(columns), parts, more)

    return best


def rows(self, db, coll, filter, *, collation=None):
    """Numbers of rows that the filter may find"""

    if list(filter or {}) == ['$or']:
        found = [rows(self, db, coll, one) for one in filter['$or']]
        return None if None in found else sum(found, [])

    best = choose(self, db, coll, filter or {})

    if collation is not None or best is None or best[0] < (1, True):
        return others(self, db, coll, filter, collation=collation)

    found, name, columns, parts, more = best

    def equal(parts):
        key = COMPOUND_SEP.join(parts)

        return self._scan_index_for_id_keys(
            db, coll, name,
            key if len(parts) == len(columns) else key + COMPOUND_SEP,
            prefix=len(parts) < len(columns))

    if more is None:
        return equal(parts)

    if '$in' in more:
        return sum([equal(parts + [encode_value(v)]) for v in more['$in']],
                   [])

    return list(walk(self, db, coll, best, False))


def bounds(parts, more):
    """The first key of the range, and one behind its last"""

    key = COMPOUND_SEP.join(parts) + COMPOUND_SEP
    low = [key + encode_value(v) for op, v in more.items() if op[1] == 'g']

    # in a key with more columns the upper bound is a part of greater ones

    high = [key + encode_value(v) + b'\xff'
            for op, v in more.items() if op[1] == 'l']

    return (_escape_kb(max(low, default=key)),
            _escape_kb(min(high)) if high else _escape_kb(key) + b'\xff' * 9)


def walk(self, db, coll, best, backwards):
    """Numbers of the rows of a range in the order of the index"""

    found, name, columns, parts, more = best
    low, high = bounds(parts, more or {})

    c = self._cursor(_IDX_ENTRIES_TABLE)
    c.set_key(db, coll, name, high if backwards else low)
    near = c.search_near()
    step = c.prev if backwards else c.next

    if near == wt.WT_NOTFOUND \
       or near * (-1 if backwards else 1) < 0 and step() != 0:
        return

    while True:
        *where, entry = c.get_key()
        key, row = _unpack_entry(bytes(entry))

        if where != [db, coll, name] \
           or (key < low if backwards else key > high):
            return

        if row is not None and low <= key <= high:
            yield row

        if step() != 0:
            return


def in_order(best, sort):
    """Whether the rows of the index have the order that is asked for"""

    if best is None or best[0] < (1, True):
        return False

    found, name, columns, parts, more = best

    return '$in' not in (more or {}) and len(set(sort.values())) == 1 \
        and list(sort) == columns[len(parts):][:len(sort)]


def page(self, db, coll, filter, *, collation=None):
    """Documents that the filter may find, as many as are asked for"""

    sort, limit = getattr(self._tls, 'page', None) or ({}, 0)
    best = choose(self, db, coll, filter or {}) if limit else None

    if not limit or collation is not None or not in_order(best, sort):
        found = rows(self, db, coll, filter, collation=collation)

        return None if found is None \
            else self._docs_by_recordids(db, coll, found)

    docs = []
    found = walk(self, db, coll, best, -1 in sort.values())

    while len(docs) < limit:
        some = list(itertools.islice(found, limit))
        docs += [doc for doc in self._docs_by_recordids(db, coll, some)
                 if matches(doc, filter)]

        if len(some) < limit:
            break

    return docs


def find_page(self, db, coll, filter=None, **options):
    if options.get('sort') and not options.get('skip') \
       and not options.get('let'):
        self._tls.page = (options['sort'], options.get('limit', 0))

    try:
        return find(self, db, coll, filter, **options)

    finally:
        self._tls.page = None


Storage._try_index_id_keys = rows
Storage._try_index_lookup = page
Storage.find_matching = find_page

sys.exit(cli.main())

# Copyright (C) The ngx_im authors

# Starts SecantusDB, the MongoDB server of the tests, with another choice of
# indexes; the arguments are those of secantusd-py.
#
# For a filter that has more than the columns of an index, such as the version
# of a row, it looks at all documents that have the first column, which are
# all rows of an application.  MongoDB looks at those that have all columns of
# the index.  What is found is compared with the whole filter in any case.

import importlib.metadata
import sys

from secantus import cli

if importlib.metadata.version('secantusdb') != '0.7.0b3':
    sys.exit(cli.main())

from bson import ObjectId
from secantus.sortkey import encode_value
from secantus.storage import COMPOUND_SEP, Storage, _sparse_index_usable

others = Storage._try_index_id_keys


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
            best = (found, name, len(columns), parts, more)

    return best


def rows(self, db, coll, filter, *, collation=None):
    """Numbers of rows that the filter may find"""

    if list(filter or {}) == ['$or']:
        found = [rows(self, db, coll, one) for one in filter['$or']]
        return None if None in found else sum(found, [])

    best = choose(self, db, coll, filter or {})

    if collation is not None or best is None or best[0] < (1, True):
        return others(self, db, coll, filter, collation=collation)

    found, name, n, parts, more = best

    def equal(parts):
        key = COMPOUND_SEP.join(parts)

        return self._scan_index_for_id_keys(
            db, coll, name, key if len(parts) == n else key + COMPOUND_SEP,
            prefix=len(parts) < n)

    if more is None:
        return equal(parts)

    if '$in' in more:
        return sum([equal(parts + [encode_value(v)]) for v in more['$in']],
                   [])

    # in a key with more columns the upper bound is a part of greater ones

    key = COMPOUND_SEP.join(parts) + COMPOUND_SEP
    low = [key + encode_value(v) for op, v in more.items() if op[1] == 'g']
    high = [key + encode_value(v) + b'\xff'
            for op, v in more.items() if op[1] == 'l']

    return self._range_scan_index(db, coll, name,
                                  max(low, default=None), True,
                                  min(high, default=None), True, prefix=key)


Storage._try_index_id_keys = rows

sys.exit(cli.main())

#pragma once

/* The tables of store/tables.def by name. */

enum table {
#define TABLE(id, name, key, ignored) TABLE_##id,
#include "store/tables.def"
#undef TABLE
    TABLES,
};

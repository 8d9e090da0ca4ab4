#include "api/fields.h"

static const struct field fields[] = {
#define FIELD(list_, name_, type_, sentence_, ...)                                                 \
    {.list = FIELDS_##list_,                                                                       \
     .name = STR_INIT(#name_),                                                                     \
     .type = FIELD_##type_,                                                                        \
     .sentence = sentence_,                                                                        \
     ##__VA_ARGS__},
#define INCLUDE(list_, other_) {.list = FIELDS_##list_, .sub = FIELDS_##other_},
#include "api/fields/fields.def"
};

static const struct {
    const char *title;
    enum field_where where;
} lists[FIELD_LISTS] = {
#define FIELDS(list, where, title) [FIELDS_##list] = {title, FIELD_##where},
#include "api/fields/fields.def"
};

const struct field *field_row(size_t i)
{
    return i < ARRAY_LEN(fields) ? &fields[i] : NULL;
}

const char *field_list_title(enum field_list l)
{
    return lists[l].title;
}

enum field_where field_list_where(enum field_list l)
{
    return lists[l].where;
}

/* Index of the list's first row; ARRAY_LEN when it has none. */
static uint16_t first_of(enum field_list l)
{
    uint16_t i = 0;

    while (i < ARRAY_LEN(fields) && fields[i].list != l)
        i++;
    return i;
}

const struct field *field_next(struct field_walk *w, enum field_list l)
{
    if (!w->begun) {
        w->begun = true;
        w->at[0] = first_of(l);
    }
    for (;;) {
        uint16_t at = w->at[w->depth];
        enum field_list in =
            w->depth ? fields[w->at[w->depth - 1] - 1].sub : l; /* who included this one */
        if (at >= ARRAY_LEN(fields) || fields[at].list != in) {
            if (!w->depth)
                return NULL;
            w->depth--;
            continue;
        }
        w->at[w->depth]++;
        if (fields[at].name.n)
            return &fields[at];
        ASSERT(w->depth + 1 < ARRAY_LEN(w->at));
        w->at[++w->depth] = first_of(fields[at].sub);
    }
}

const struct field *field_find(enum field_list l, struct str name)
{
    struct field_walk w = {0};
    const struct field *f;

    while ((f = field_next(&w, l)))
        if (str_eq(f->name, name))
            return f;
    return NULL;
}

bool field_list_is_required(enum field_list l)
{
    struct field_walk w = {0};
    const struct field *f;

    while ((f = field_next(&w, l)))
        if (f->required)
            return true;
    return false;
}

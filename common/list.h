#pragma once

/* Intrusive doubly linked list: membership is a field of the object, moving costs no allocation. */

#include "common/base.h"

struct list {
    struct list *prev, *next; /* a head is empty when it points at itself */
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

/* Appends `l`, which must be in no list. */
static inline void list_push(struct list *head, struct list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

/* Prepends `l`: the next list_first(). */
static inline void list_push_first(struct list *head, struct list *l)
{
    list_push(head->next, l);
}

/* Takes `l` out of its list; safe to repeat. */
static inline void list_drop(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

/* `to`, uninitialised before, becomes the head of everything `from` had; `from` is empty. */
static inline void list_move(struct list *to, struct list *from)
{
    list_init(to);
    if (list_is_empty(from))
        return;
    *to = *from;
    to->prev->next = to->next->prev = to;
    list_init(from);
}

#define LIST_FIRST(head, type, member)                                                             \
    (list_is_empty(head) ? NULL : container_of((head)->next, type, member))

#define LIST_LAST(head, type, member)                                                              \
    (list_is_empty(head) ? NULL : container_of((head)->prev, type, member))

/* Visits every object; the body may drop the visited one. */
#define LIST_FOREACH(head, type, it, member)                                                       \
    for (type *it = container_of((head)->next, type, member),                                      \
              *it##_next = container_of(it->member.next, type, member);                            \
         &it->member != (head);                                                                    \
         it = it##_next, it##_next = container_of(it->member.next, type, member))

#pragma once

/* The proleptic Gregorian calendar; days count from 1970-01-01. Pure. */

#include "common/base.h"

struct date {
    int64_t year;
    unsigned month, day; /* from 1 */
};

enum { DATE_TEXT = 10 }; /* "2026-01-31" */

struct date date_of_day(int64_t day);
/* Of a date there is. */
int64_t date_day(struct date d);
unsigned date_month_days(int64_t year, unsigned month);

/* Not terminated; years 0 to 9999. Returns the end. */
char *date_put(char out[DATE_TEXT], int64_t day);

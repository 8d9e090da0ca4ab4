#pragma once

/* Memory given back to the system while its addresses stay ours: the whole pages inside a range
 * read as zeros again. */

#include "common/base.h"

/* Private memory: a buffer whose content is not needed any more. */
void pages_forget(void *p, size_t n);

/* A shared mapping of a file: the pages go from the file, for every process. */
void pages_remove(void *p, size_t n);

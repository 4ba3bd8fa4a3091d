#include "core/schema.h"

#include <string.h>

int rf_find_column(const struct rf_column *columns, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(columns[i].name, name) == 0) return i;
    return -1;
}

/* Finding DuckDB's functions in its library. */
#include "drivers/duckdb_abi.h"

#include <dlfcn.h>
#include <string.h>

enum rf_code rf_duckdb_find(const char *library, struct rf_duckdb_api *api, void **handle, struct rf_error *err) {
    const char *missing = NULL;
    void *symbol;
    *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!*handle) return rf_fail(err, RF_CONFIG, "the target's driver cannot be loaded: %s", dlerror());
#define FIND(name, result, arguments)          \
    symbol = dlsym(*handle, "duckdb_" #name);  \
    if (!symbol) missing = "duckdb_" #name;    \
    memcpy(&api->name, &symbol, sizeof symbol); /* POSIX: a pointer to an object holds one to a function */
    RF_DUCKDB_FUNCTIONS(FIND)
#undef FIND
    return missing ? rf_fail(err, RF_CONFIG, "%s is no driver for this target: it has no function %s", library, missing) : RF_OK;
}

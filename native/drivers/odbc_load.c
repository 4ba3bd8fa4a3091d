#include "drivers/odbc_load.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static const char LIBRARY[] = "libodbc.so.2";

static const struct function {
    const char *name;
    size_t at; /* of its pointer in the table */
} FUNCTIONS[] = {
#define RF_ODBC_NAME(name, parameters) {#name, offsetof(struct rf_odbc_api, name)},
    RF_ODBC_FUNCTIONS(RF_ODBC_NAME)
#undef RF_ODBC_NAME
};

enum rf_code rf_odbc_load(struct rf_odbc_api *api, struct rf_error *err) {
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        rf_fail(err, RF_CONFIG, "the target is reached through ODBC, and its driver manager cannot be loaded: %s", dlerror());
        return rf_hint(err, "On Debian or Ubuntu: apt-get install unixodbc; and the driver of the database: odbc-mariadb, libsqliteodbc or odbc-postgresql.");
    }
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof FUNCTIONS[0]; i++) {
        void *symbol = dlsym(library, FUNCTIONS[i].name);
        if (!symbol) return rf_fail(err, RF_CONFIG, "%s lacks the function %s", LIBRARY, FUNCTIONS[i].name);
        memcpy((char *)api + FUNCTIONS[i].at, &symbol, sizeof symbol); /* POSIX: a pointer to an object holds one to a function */
    }
    return RF_OK;
}

/* Finding the driver in its library. */
#include "drivers/adbc.h"

#include <dlfcn.h>
#include <string.h>

typedef AdbcStatusCode init_function(int version, void *driver, struct AdbcError *error);

/* Everything this program calls: a driver may leave the rest out. */
static bool is_complete(const struct AdbcDriver *driver) {
    return driver->DatabaseNew && driver->DatabaseInit && driver->DatabaseSetOption && driver->DatabaseRelease && driver->ConnectionNew &&
           driver->ConnectionInit && driver->ConnectionSetOption && driver->ConnectionRelease && driver->ConnectionCommit && driver->ConnectionRollback &&
           driver->StatementNew && driver->StatementRelease && driver->StatementSetSqlQuery && driver->StatementBindStream &&
           driver->StatementExecuteQuery && driver->ConnectionCancel;
}

enum rf_code rf_adbc_load(struct rf_adbc *adbc, const char *library, const char *entry, struct rf_error *err) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) return rf_fail(err, RF_CONFIG, "the target's driver cannot be loaded: %s", dlerror());
    init_function *init;
    void *symbol = dlsym(handle, entry);
    if (!symbol) return rf_fail(err, RF_CONFIG, "%s is no driver for this target: it has no function %s", library, entry);
    memcpy(&init, &symbol, sizeof init); /* POSIX: a pointer to an object holds one to a function */
    struct AdbcError said = {0};
    adbc->driver = (struct AdbcDriver){0};
    RF_TRY(rf_adbc_judge(adbc, "load the driver", init(ADBC_VERSION_1_1_0, &adbc->driver, &said), &said, err));
    adbc->is_loaded = true;
    return is_complete(&adbc->driver) ? RF_OK : rf_fail(err, RF_CONFIG, "%s lacks functions of ADBC 1.1 that are needed here", library);
}

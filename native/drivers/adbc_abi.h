/* The part of the ADBC interface, version 1.1, that is called here.
 *
 * A driver fills a table of functions whose order is fixed; members that are not called keep their place without a type.
 * Source: arrow.apache.org/adbc, c/include/arrow-adbc/adbc.h.
 */
#ifndef RF_ADBC_ABI_H
#define RF_ADBC_ABI_H

#include "core/arrow.h"

#include <stddef.h>
#include <stdint.h>

enum { ADBC_VERSION_1_1_0 = 1001000 };

typedef uint8_t AdbcStatusCode;
enum {
    ADBC_STATUS_OK = 0,
    ADBC_STATUS_IO = 10,
    ADBC_STATUS_CANCELLED = 11,
    ADBC_STATUS_TIMEOUT = 12,
    ADBC_STATUS_UNAUTHENTICATED = 13,
    ADBC_STATUS_UNAUTHORIZED = 14,
};

/* Zeroed before a call; to be released when `release` was set. */
struct AdbcError {
    char *message;
    int32_t vendor_code;
    char sqlstate[5];
    void (*release)(struct AdbcError *);
    void *private_data;   /* from 1.1 on, and only when vendor_code said INT32_MIN before the call */
    void *private_driver;
};

struct AdbcDatabase {
    void *private_data;
    void *private_driver;
};

struct AdbcConnection {
    void *private_data;
    void *private_driver;
};

struct AdbcStatement {
    void *private_data;
    void *private_driver;
};

typedef void adbc_not_called(void);

struct AdbcDriver {
    void *private_data;
    void *private_manager;
    AdbcStatusCode (*release)(struct AdbcDriver *, struct AdbcError *);

    AdbcStatusCode (*DatabaseInit)(struct AdbcDatabase *, struct AdbcError *);
    AdbcStatusCode (*DatabaseNew)(struct AdbcDatabase *, struct AdbcError *);
    AdbcStatusCode (*DatabaseSetOption)(struct AdbcDatabase *, const char *, const char *, struct AdbcError *);
    AdbcStatusCode (*DatabaseRelease)(struct AdbcDatabase *, struct AdbcError *);

    AdbcStatusCode (*ConnectionCommit)(struct AdbcConnection *, struct AdbcError *);
    adbc_not_called *ConnectionGetInfo;
    adbc_not_called *ConnectionGetObjects;
    adbc_not_called *ConnectionGetTableSchema;
    adbc_not_called *ConnectionGetTableTypes;
    AdbcStatusCode (*ConnectionInit)(struct AdbcConnection *, struct AdbcDatabase *, struct AdbcError *);
    AdbcStatusCode (*ConnectionNew)(struct AdbcConnection *, struct AdbcError *);
    AdbcStatusCode (*ConnectionSetOption)(struct AdbcConnection *, const char *, const char *, struct AdbcError *);
    adbc_not_called *ConnectionReadPartition;
    AdbcStatusCode (*ConnectionRelease)(struct AdbcConnection *, struct AdbcError *);
    AdbcStatusCode (*ConnectionRollback)(struct AdbcConnection *, struct AdbcError *);

    adbc_not_called *StatementBind;
    AdbcStatusCode (*StatementBindStream)(struct AdbcStatement *, struct ArrowArrayStream *, struct AdbcError *);
    AdbcStatusCode (*StatementExecuteQuery)(struct AdbcStatement *, struct ArrowArrayStream *, int64_t *, struct AdbcError *);
    adbc_not_called *StatementExecutePartitions;
    adbc_not_called *StatementGetParameterSchema;
    AdbcStatusCode (*StatementNew)(struct AdbcConnection *, struct AdbcStatement *, struct AdbcError *);
    adbc_not_called *StatementPrepare;
    AdbcStatusCode (*StatementRelease)(struct AdbcStatement *, struct AdbcError *);
    adbc_not_called *StatementSetOption;
    AdbcStatusCode (*StatementSetSqlQuery)(struct AdbcStatement *, const char *, struct AdbcError *);
    adbc_not_called *StatementSetSubstraitPlan;

    /* from 1.1 on */
    adbc_not_called *errors[3];
    adbc_not_called *database_options[7];
    AdbcStatusCode (*ConnectionCancel)(struct AdbcConnection *, struct AdbcError *);
    adbc_not_called *connection_options[9];
    AdbcStatusCode (*StatementCancel)(struct AdbcStatement *, struct AdbcError *);
    adbc_not_called *statement_options[8];
};

#endif

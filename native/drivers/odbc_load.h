/* unixODBC's driver manager, opened at first use and never linked: `import rowferry` does not need it.
 *
 * Meaning of the functions: learn.microsoft.com/sql/odbc/reference/syntax.
 */
#ifndef RF_ODBC_LOAD_H
#define RF_ODBC_LOAD_H

#include "core/error.h"

#include <sql.h>
#include <sqlext.h>

/* Everything that is called. */
#define RF_ODBC_FUNCTIONS(each)                                                                                                      \
    each(SQLAllocHandle, (SQLSMALLINT, SQLHANDLE, SQLHANDLE *))                                                                      \
    each(SQLFreeHandle, (SQLSMALLINT, SQLHANDLE))                                                                                    \
    each(SQLSetEnvAttr, (SQLHENV, SQLINTEGER, SQLPOINTER, SQLINTEGER))                                                               \
    each(SQLDrivers, (SQLHENV, SQLUSMALLINT, SQLCHAR *, SQLSMALLINT, SQLSMALLINT *, SQLCHAR *, SQLSMALLINT, SQLSMALLINT *))          \
    each(SQLSetConnectAttr, (SQLHDBC, SQLINTEGER, SQLPOINTER, SQLINTEGER))                                                           \
    each(SQLDriverConnect, (SQLHDBC, SQLHWND, SQLCHAR *, SQLSMALLINT, SQLCHAR *, SQLSMALLINT, SQLSMALLINT *, SQLUSMALLINT))          \
    each(SQLDisconnect, (SQLHDBC))                                                                                                   \
    each(SQLGetInfo, (SQLHDBC, SQLUSMALLINT, SQLPOINTER, SQLSMALLINT, SQLSMALLINT *))                                                \
    each(SQLEndTran, (SQLSMALLINT, SQLHANDLE, SQLSMALLINT))                                                                          \
    each(SQLSetStmtAttr, (SQLHSTMT, SQLINTEGER, SQLPOINTER, SQLINTEGER))                                                             \
    each(SQLExecDirect, (SQLHSTMT, SQLCHAR *, SQLINTEGER))                                                                           \
    each(SQLPrepare, (SQLHSTMT, SQLCHAR *, SQLINTEGER))                                                                              \
    each(SQLBindParameter, (SQLHSTMT, SQLUSMALLINT, SQLSMALLINT, SQLSMALLINT, SQLSMALLINT, SQLULEN, SQLSMALLINT, SQLPOINTER, SQLLEN, SQLLEN *)) \
    each(SQLExecute, (SQLHSTMT))                                                                                                     \
    each(SQLRowCount, (SQLHSTMT, SQLLEN *))                                                                                          \
    each(SQLNumResultCols, (SQLHSTMT, SQLSMALLINT *))                                                                                \
    each(SQLFetch, (SQLHSTMT))                                                                                                       \
    each(SQLGetData, (SQLHSTMT, SQLUSMALLINT, SQLSMALLINT, SQLPOINTER, SQLLEN, SQLLEN *))                                            \
    each(SQLCancel, (SQLHSTMT))                                                                                                      \
    each(SQLGetDiagRec, (SQLSMALLINT, SQLHANDLE, SQLSMALLINT, SQLCHAR *, SQLINTEGER *, SQLCHAR *, SQLSMALLINT, SQLSMALLINT *))

struct rf_odbc_api {
#define RF_ODBC_MEMBER(name, parameters) SQLRETURN(*name) parameters;
    RF_ODBC_FUNCTIONS(RF_ODBC_MEMBER)
#undef RF_ODBC_MEMBER
};

/* The library stays in the process. RF_CONFIG names the package to install. */
enum rf_code rf_odbc_load(struct rf_odbc_api *api, struct rf_error *err);

#endif

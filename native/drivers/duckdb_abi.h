/* The part of DuckDB's C interface that is called here, of the stable functions of 1.4 and later.
 *
 * Source: duckdb.org/docs/stable/clients/c/api, duckdb.h.
 */
#ifndef RF_DUCKDB_ABI_H
#define RF_DUCKDB_ABI_H

#include "core/arrow.h"
#include "core/error.h"

#include <stdint.h>

typedef struct rf_duckdb_database_handle *duckdb_database;
typedef struct rf_duckdb_connection_handle *duckdb_connection;
typedef struct rf_duckdb_config_handle *duckdb_config;
typedef struct rf_duckdb_prepared_handle *duckdb_prepared;
typedef struct rf_duckdb_chunk_handle *duckdb_chunk;
typedef struct rf_duckdb_vector_handle *duckdb_vector;
typedef struct rf_duckdb_type_handle *duckdb_type;
typedef struct rf_duckdb_said_handle *duckdb_said; /* "error data" there; NULL: no error */
typedef struct rf_duckdb_schema_handle *duckdb_schema; /* an Arrow schema as DuckDB has understood it */
typedef struct rf_duckdb_options_handle *duckdb_options; /* how results become Arrow */
typedef struct rf_duckdb_function_handle *duckdb_function;
typedef struct rf_duckdb_info_handle *duckdb_info; /* of a table function that is bound, begun or running */

/* Only the library looks into it. */
typedef struct {
    uint64_t deprecated_counts[3];
    void *deprecated_data[2];
    void *internal_data;
} duckdb_result;

enum { DUCKDB_OK = 0, DUCKDB_STATEMENT_SELECT = 1 };

/* name, result, arguments */
#define RF_DUCKDB_FUNCTIONS(X)                                                                          \
    X(create_config, int, (duckdb_config *))                                                            \
    X(set_config, int, (duckdb_config, const char *, const char *))                                     \
    X(destroy_config, void, (duckdb_config *))                                                          \
    X(open_ext, int, (const char *, duckdb_database *, duckdb_config, char **))                         \
    X(close, void, (duckdb_database *))                                                                 \
    X(connect, int, (duckdb_database, duckdb_connection *))                                             \
    X(disconnect, void, (duckdb_connection *))                                                          \
    X(interrupt, void, (duckdb_connection))                                                             \
    X(free, void, (void *))                                                                             \
    X(query, int, (duckdb_connection, const char *, duckdb_result *))                                   \
    X(prepare, int, (duckdb_connection, const char *, duckdb_prepared *))                               \
    X(prepare_error, const char *, (duckdb_prepared))                                                   \
    X(prepared_statement_type, int, (duckdb_prepared))                                                  \
    X(destroy_prepare, void, (duckdb_prepared *))                                                       \
    X(execute_prepared, int, (duckdb_prepared, duckdb_result *))                                        \
    X(execute_prepared_streaming, int, (duckdb_prepared, duckdb_result *))                              \
    X(destroy_result, void, (duckdb_result *))                                                          \
    X(result_error, const char *, (duckdb_result *))                                                    \
    X(rows_changed, uint64_t, (duckdb_result *))                                                        \
    X(column_count, uint64_t, (duckdb_result *))                                                        \
    X(column_name, const char *, (duckdb_result *, uint64_t))                                           \
    X(column_logical_type, duckdb_type, (duckdb_result *, uint64_t))                                    \
    X(destroy_logical_type, void, (duckdb_type *))                                                      \
    X(fetch_chunk, duckdb_chunk, (duckdb_result))                                                       \
    X(destroy_data_chunk, void, (duckdb_chunk *))                                                       \
    X(data_chunk_get_size, uint64_t, (duckdb_chunk))                                                    \
    X(data_chunk_set_size, void, (duckdb_chunk, uint64_t))                                              \
    X(data_chunk_get_column_count, uint64_t, (duckdb_chunk))                                            \
    X(data_chunk_get_vector, duckdb_vector, (duckdb_chunk, uint64_t))                                   \
    X(vector_get_column_type, duckdb_type, (duckdb_vector))                                             \
    X(vector_reference_vector, void, (duckdb_vector, duckdb_vector))                                    \
    X(result_get_arrow_options, duckdb_options, (duckdb_result *))                                      \
    X(destroy_arrow_options, void, (duckdb_options *))                                                  \
    X(to_arrow_schema, duckdb_said, (duckdb_options, duckdb_type *, const char **, uint64_t, struct ArrowSchema *)) \
    X(data_chunk_to_arrow, duckdb_said, (duckdb_options, duckdb_chunk, struct ArrowArray *))            \
    X(schema_from_arrow, duckdb_said, (duckdb_connection, struct ArrowSchema *, duckdb_schema *))       \
    X(data_chunk_from_arrow, duckdb_said, (duckdb_connection, struct ArrowArray *, duckdb_schema, duckdb_chunk *)) \
    X(destroy_arrow_converted_schema, void, (duckdb_schema *))                                          \
    X(error_data_message, const char *, (duckdb_said))                                                  \
    X(destroy_error_data, void, (duckdb_said *))                                                        \
    X(create_table_function, duckdb_function, (void))                                                   \
    X(destroy_table_function, void, (duckdb_function *))                                                \
    X(table_function_set_name, void, (duckdb_function, const char *))                                   \
    X(table_function_set_extra_info, void, (duckdb_function, void *, void (*)(void *)))                 \
    X(table_function_set_bind, void, (duckdb_function, void (*)(duckdb_info)))                          \
    X(table_function_set_init, void, (duckdb_function, void (*)(duckdb_info)))                          \
    X(table_function_set_local_init, void, (duckdb_function, void (*)(duckdb_info)))                    \
    X(table_function_set_function, void, (duckdb_function, void (*)(duckdb_info, duckdb_chunk)))        \
    X(register_table_function, int, (duckdb_connection, duckdb_function))                               \
    X(bind_get_extra_info, void *, (duckdb_info))                                                       \
    X(bind_add_result_column, void, (duckdb_info, const char *, duckdb_type))                           \
    X(bind_set_error, void, (duckdb_info, const char *))                                                \
    X(init_set_max_threads, void, (duckdb_info, uint64_t))                                              \
    X(init_set_init_data, void, (duckdb_info, void *, void (*)(void *)))                                \
    X(init_set_error, void, (duckdb_info, const char *))                                                \
    X(function_get_local_init_data, void *, (duckdb_info))                                              \
    X(function_get_extra_info, void *, (duckdb_info))                                                   \
    X(function_set_error, void, (duckdb_info, const char *))

struct rf_duckdb_api {
#define RF_DUCKDB_MEMBER(name, result, arguments) result(*name) arguments;
    RF_DUCKDB_FUNCTIONS(RF_DUCKDB_MEMBER)
#undef RF_DUCKDB_MEMBER
};

/* Loads the library, which stays in the process: it has threads and data of threads. RF_CONFIG names what is missing. */
enum rf_code rf_duckdb_find(const char *library, struct rf_duckdb_api *api, void **handle, struct rf_error *err);

#endif

#include "store/credential.h"

yyjson_mut_val *credential_find(struct store *s, struct str name, bool lock)
{
    return lock ? STORE_FIRST(s, TABLE_CREDENTIAL, "WHERE t.credential_name = $1 FOR UPDATE",
                              DB_TEXT(name))
                : STORE_FIRST(s, TABLE_CREDENTIAL, "WHERE t.credential_name = $1", DB_TEXT(name));
}

yyjson_mut_val *credential_all(struct store *s)
{
    return STORE_LIST(s, TABLE_CREDENTIAL, "ORDER BY t.credential_name LIMIT $1", DB_INT(1000));
}
